// After a build: the package as its users will load it, by its own name and through its own `exports`.
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import ts from 'typescript';

const { name, exports } = JSON.parse(readFileSync('package.json', 'utf8'));
const require = createRequire(import.meta.url);

for (const subpath of Object.keys(exports).filter((path) => !path.endsWith('.json'))) {
  const specifier = name + subpath.slice(1);
  const imported = await import(specifier);
  const names = Object.keys(imported);
  assert.ok(names.length > 0, `${specifier} exports nothing`);
  assert.ok(!('default' in imported), `${specifier} has a default export`);
  // One copy, however it is loaded. (Top-level await anywhere in it would end that.)
  const required = require(specifier);
  for (const each of names) assert.equal(required[each], imported[each], `${each} of require('${specifier}')`);
  // The copy for what runs CommonJS without Node's own loader.
  const commonJs = require(require.resolve(`../${exports[subpath].require.default}`));
  assert.deepEqual(Object.keys(commonJs).toSorted(), names.toSorted(), exports[subpath].require.default);
}

// An application without the optional peers has to type-check.
const { peerDependenciesMeta } = JSON.parse(readFileSync('package.json', 'utf8'));
const optional = Object.keys(peerDependenciesMeta);
for (const main of ['dist/index.d.ts', 'dist/cjs/index.d.ts']) {
  const found = [...importsOf(main)].filter(({ specifier }) =>
    optional.some((peer) => `${specifier}/`.startsWith(`${peer}/`)),
  );
  assert.deepEqual(found, [], `${main} needs optional peers`);
}

/**
 * What the types of an entry point import, and what those import.
 * @param {string} file
 * @param {Set<string>} seen
 * @returns {Generator<{ file: string, specifier: string }>}
 */
function* importsOf(file, seen = new Set([file])) {
  for (const [, specifier = ''] of readFileSync(file, 'utf8').matchAll(/\b(?:from|import)[ (]'([^']+)'/g)) {
    if (!specifier.startsWith('.')) {
      yield { file, specifier };
      continue;
    }
    const next = join(dirname(file), specifier.replace(/\.(c?)js$/, '.d.$1ts'));
    if (!seen.has(next)) yield* importsOf(next, seen.add(next));
  }
}

// The types are sound without `skipLibCheck`: a class may have lost what it says it implements, since internal members are stripped.
for (const dist of ['dist', 'dist/cjs']) {
  const entries = Object.keys(exports).filter((path) => !path.endsWith('.json'));
  const { NodeNext: module } = ts.ModuleKind;
  const options = { module, moduleResolution: ts.ModuleResolutionKind.NodeNext, strict: true, noEmit: true };
  const program = ts.createProgram(
    entries.map((entry) => join(dist, entry, 'index.d.ts')),
    { ...options, skipLibCheck: false, types: ['node'] },
  );
  const own = ts.getPreEmitDiagnostics(program).filter(({ file }) => !file?.fileName.includes('node_modules'));
  assert.deepEqual(
    own.map(({ file, messageText }) => `${file?.fileName}: ${ts.flattenDiagnosticMessageText(messageText, ' ')}`),
    [],
  );
}

// `new RedisCacheStore()` must not type-check: a constructor without parameters would be left over if ours were stripped.
assert.match(readFileSync('dist/store/redis-cache.store.d.ts', 'utf8'), /constructor\(operations: /);
assert.match(readFileSync('dist/connection/redis-connection.d.ts', 'utf8'), /constructor\(options: /);

/** @type {[{ files: { path: string }[] }]} */
const [packed] = JSON.parse(
  execFileSync('npm', ['pack', '--dry-run', '--json', '--ignore-scripts'], { encoding: 'utf8' }),
);
const strangers = packed.files
  .map(({ path }) => path)
  .filter(
    (path) =>
      !/^(dist\/[\w./-]+\.(js|d\.ts|cjs|d\.cts)|dist\/cjs\/package\.json|package\.json|README\.md|CHANGELOG\.md|LICENSE)$/.test(
        path,
      ),
  );
assert.deepEqual(strangers, [], 'packed, but not meant to be');

console.log(`package check: ${packed.files.length} files, every entry loads with import and require, as one copy`);
