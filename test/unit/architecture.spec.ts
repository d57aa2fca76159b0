import ts from 'typescript';
import { type Import, lengthsIn, nodesOf, readSources, type Source } from '../support/sources.js';

type Floor =
  | 'face'
  | 'store'
  | 'record'
  | 'backend'
  | 'connection'
  | 'ioredis'
  | 'options'
  | 'diagnostics'
  | 'timers'
  | 'arguments'
  | 'duration'
  | 'errors';

/** What each floor may import besides itself. The face is where everything meets; errors stand on nothing. */
const BELOW: Record<Floor, readonly Floor[]> = {
  face: [
    'store',
    'record',
    'backend',
    'connection',
    'options',
    'diagnostics',
    'timers',
    'arguments',
    'duration',
    'errors',
  ],
  store: ['record', 'backend', 'options', 'diagnostics', 'timers', 'arguments', 'duration', 'errors'],
  record: ['options', 'diagnostics', 'timers', 'duration', 'errors'],
  backend: ['record', 'connection', 'options', 'diagnostics', 'timers', 'duration', 'errors'],
  connection: ['ioredis', 'options', 'diagnostics', 'timers', 'duration', 'errors'],
  ioredis: ['timers', 'errors'],
  options: ['duration', 'errors'],
  diagnostics: ['errors'],
  timers: [],
  arguments: ['errors'],
  duration: ['errors'],
  errors: [],
};

const LONGEST_FILE = 300;
/** Of `connection/` and `ioredis/` together, in lines: all that stands between the backend and a socket is to be read in one sitting. */
const CONNECTING = 2600;

/** Of the entry point of an adapter, in lines without comments and blank ones: about 60, so that a user reads what stands between a peer and the store. */
const LONGEST_ADAPTER = 66;
const ADAPTERS = ['better-auth', 'express-session', 'keyv', 'throttler'];

/** Optional peers, with the entry points that they are for. */
const OPTIONAL_PEERS: Readonly<Record<string, string>> = {
  '@nestjs/terminus': 'health',
  '@nestjs/throttler': 'throttler',
  '@opentelemetry/api': 'opentelemetry',
  '@opentelemetry/instrumentation': 'opentelemetry',
  'express-session': 'express-session',
  keyv: 'keyv',
};

const sources = readSources();
const lengths = lengthsIn('lib');

describe('the house', () => {
  it('has its floors where they belong', () => {
    expect(sources.filter(({ path }) => floorOf(path) === undefined).map(({ path }) => path)).toEqual([]);
  });

  it('imports downwards only', () => {
    expect(
      importsWhere((source, { file }) => {
        const [from, to] = [floorOf(source.path), floorOf(file ?? '')];
        return from !== undefined && to !== undefined && from !== to && !BELOW[from].includes(to);
      }),
    ).toEqual([]);
  });

  it('takes clocks and timers from the one file that keeps those of before any fake ones', () => {
    const isTime = (specifier: string) => /^node:(perf_hooks|timers(\/promises)?)$/.test(specifier);
    const isTimers = (path: string) => path.endsWith('/redis-cache.timers.ts');
    expect(importsWhere(({ path }, { specifier }) => isTime(specifier) && !isTimers(path))).toEqual([]);
    expect(importsWhere(({ path }, { specifier }) => isTime(specifier) && isTimers(path))).toHaveLength(2);
  });

  it('imports files that exist', () => {
    const files = new Set(sources.map(({ path }) => path));
    expect(importsWhere((_, { file }) => file !== undefined && !files.has(file))).toEqual([]);
  });

  it('has no import cycle, types included', () => {
    expect(findCycle()).toBeUndefined();
  });

  it('knows Nest at its face only', () => {
    const isNest = ({ specifier, typeOnly }: Import) => specifier.startsWith('@nestjs/') && !typeOnly;
    expect(importsWhere(({ path }, found) => isNest(found) && !isFaceFile(path))).toEqual([]);
  });

  it('leaves each optional peer to the subpath that is about it', () => {
    expect(
      importsWhere(({ path }, { specifier }) => {
        const folder = OPTIONAL_PEERS[specifier];
        return folder !== undefined && !path.startsWith(`lib/${folder}/`);
      }),
    ).toEqual([]);
  });

  it('reaches nothing of an optional peer from the main entry, types included', () => {
    const reached = new Set(['lib/index.ts']);
    for (const path of reached) {
      for (const { file } of sources.find((source) => source.path === path)?.imports ?? []) if (file) reached.add(file);
    }
    expect(reached.size).toBeGreaterThan(50);
    const folders = [...new Set([...Object.values(OPTIONAL_PEERS), ...ADAPTERS])];
    expect([...reached].filter((path) => folders.some((folder) => path.startsWith(`lib/${folder}/`)))).toEqual([]);
  });

  it('runs ioredis in a folder of its own only', () => {
    const isClient = ({ specifier, typeOnly }: Import) => /^ioredis(\/|$)/.test(specifier) && !typeOnly;
    expect(importsWhere(({ path }, found) => isClient(found) && floorOf(path) !== 'ioredis')).toEqual([]);
  });

  it('lets the services of /auth stand on the public methods of the store', () => {
    const isService = (path: string) =>
      path.startsWith('lib/auth/') && !/(resolve-auth-options|auth\.module)\.ts$/.test(path);
    const isInside = (file: string) => /^lib\/(store|backend|connection|record)\//.test(file);
    const isBad = ({ path }: Source, { file = '' }: Import) =>
      isService(path) && isInside(file) && file !== 'lib/store/redis-cache.store.ts';
    expect(importsWhere(isBad)).toEqual([]);
  });

  it('connects over three topologies in fewer than 2,600 lines', () => {
    const connecting = lengths.filter(({ path }) => /^lib\/(connection|ioredis)\//.test(path));
    expect(connecting.length).toBeGreaterThan(10);
    expect(connecting.reduce((sum, { lines }) => sum + lines, 0)).toBeLessThan(CONNECTING);
  });

  it('has no file that is too long to read, and neither have its tests', () => {
    const all = [...lengths, ...lengthsIn('test')];
    expect(all.length).toBeGreaterThan(300);
    expect(all.filter(({ lines }) => lines > LONGEST_FILE)).toEqual([]);
  });

  it('keeps each adapter for another package short', () => {
    const isCode = (line: string) => /\S/.test(line) && !/^\s*(\/\/|\/\*|\*[ /]|\*$)/.test(line);
    const found = ADAPTERS.map((name) => {
      const text = sources.find(({ path }) => path === `lib/${name}/index.ts`)?.text ?? '';
      return { name, lines: text.split('\n').filter(isCode).length };
    });
    expect(found.filter(({ lines }) => lines < 10 || lines > LONGEST_ADAPTER)).toEqual([]);
  });

  it('exports by name, so that nothing becomes public by accident', () => {
    const unnamed = (statement: ts.Statement) =>
      ts.isExportAssignment(statement) ||
      (ts.isExportDeclaration(statement) && !(statement.exportClause && ts.isNamedExports(statement.exportClause))) ||
      (ts.canHaveModifiers(statement) &&
        ts.getModifiers(statement)?.some(({ kind }) => kind === ts.SyntaxKind.DefaultKeyword) === true);
    const found = sources.flatMap(({ path, tree }) =>
      tree.statements.filter(unnamed).map((statement) => `${path}: ${statement.getText()}`),
    );
    expect(found).toEqual([]);
  });

  it('never sends a command that stalls Redis or empties what is not ours', () => {
    const found = sources.flatMap(({ path, tree }) =>
      [...nodesOf(tree)].filter((node) => sendsForbidden(node, path)).map((node) => `${path}: ${node.getText()}`),
    );
    expect(found).toEqual([]);
  });
});

function floorOf(path: string): Floor | undefined {
  const leaf = /^lib\/redis-(?:cache|connection)\.(options|diagnostics|timers|arguments|duration|errors)\.ts$/.exec(
    path,
  )?.[1];
  const folder = /^lib\/(store|record|backend|connection|ioredis)\//.exec(path)?.[1];
  return ((leaf ?? folder) as Floor | undefined) ?? (isFaceFile(path) ? 'face' : undefined);
}

function isFaceFile(path: string): boolean {
  return /^lib\/((health|auth|testing|better-auth|express-session|keyv|opentelemetry|throttler)\/)?[^/]+\.(ts|cjs)$/.test(
    path,
  );
}

function importsWhere(isBad: (source: Source, found: Import) => boolean): string[] {
  return sources.flatMap((source) =>
    source.imports
      .filter((found) => isBad(source, found))
      .map(({ specifier }) => `${source.path} imports ${specifier}`),
  );
}

function findCycle(): string[] | undefined {
  const imports = new Map(sources.map(({ path, imports: list }) => [path, list.flatMap(({ file }) => file ?? [])]));
  const sound = new Set<string>();
  const visit = (path: string, trail: string[]): string[] | undefined => {
    if (trail.includes(path)) return [...trail.slice(trail.indexOf(path)), path];
    if (sound.has(path)) return undefined;
    for (const next of imports.get(path) ?? []) {
      const cycle = visit(next, [...trail, path]);
      if (cycle !== undefined) return cycle;
    }
    sound.add(path);
    return undefined;
  };
  for (const path of imports.keys()) {
    const cycle = visit(path, []);
    if (cycle !== undefined) return cycle;
  }
  return undefined;
}

/** As a text that is a command, inside a script, or as a method of the client. (`KEYS[1]` of a script is not one.) */
function sendsForbidden(node: ts.Node, path: string): boolean {
  if (ts.isStringLiteralLike(node) || ts.isTemplateHead(node) || ts.isTemplateMiddle(node) || ts.isTemplateTail(node)) {
    return (
      /^\s*(KEYS|flushdb|FLUSHDB|flushall|FLUSHALL)\b(?!\[)/.test(node.text) ||
      /call\(\s*["'](keys|flush)/i.test(node.text)
    );
  }
  if (!ts.isPropertyAccessExpression(node)) return false;
  if (/^flush(db|all)(Buffer)?$/i.test(node.name.text)) return true;
  const takesPattern = ts.isCallExpression(node.parent) && node.parent.arguments.length > 0;
  const isObject = node.expression.getText() === 'Object';
  return node.name.text === 'keys' && takesPattern && !isObject && floorOf(path) === 'connection';
}
