import { readdirSync, readFileSync } from 'node:fs';
import { dirname, join, posix } from 'node:path';
import { fileURLToPath } from 'node:url';
import ts from 'typescript';

export const ROOT = join(dirname(fileURLToPath(import.meta.url)), '..', '..');

export interface Import {
  /** As written. */
  specifier: string;
  /** The file of ours that is meant, `lib/…`; undefined where it is a package. */
  file: string | undefined;
  /** Gone after compilation. (`import { type A }` is not: under verbatimModuleSyntax the module is loaded all the same.) */
  typeOnly: boolean;
}

/** A file of lib/ as the compiler reads it. */
export interface Source {
  /** `lib/store/record.ts` */
  path: string;
  text: string;
  tree: ts.SourceFile;
  imports: Import[];
}

export function readSources(): Source[] {
  return readdirSync(join(ROOT, 'lib'), { recursive: true, encoding: 'utf8' })
    .filter((name) => /\.(ts|cjs)$/.test(name))
    .map((name) => posix.join('lib', ...name.split(/[/\\]/)))
    .toSorted()
    .map((path) => {
      const text = readFileSync(join(ROOT, path), 'utf8');
      const tree = ts.createSourceFile(path, text, ts.ScriptTarget.Latest, true);
      return { path, text, tree, imports: importsOf(tree) };
    });
}

/** How many lines each file of TypeScript and JavaScript below a folder has. */
export function lengthsIn(folder: 'lib' | 'test'): { path: string; lines: number }[] {
  return readdirSync(join(ROOT, folder), { recursive: true, encoding: 'utf8' })
    .filter((name) => /\.(ts|cjs|mjs)$/.test(name))
    .map((name) => ({
      path: posix.join(folder, ...name.split(/[/\\]/)),
      lines: readFileSync(join(ROOT, folder, name), 'utf8')
        .trimEnd()
        .split('\n').length,
    }));
}

/** All nodes of a tree, parents before their children. */
export function* nodesOf(tree: ts.Node): Generator<ts.Node> {
  yield tree;
  for (const child of tree.getChildren()) yield* nodesOf(child);
}

function importsOf(tree: ts.SourceFile): Import[] {
  const found: Import[] = [];
  const add = (specifier: ts.Node | undefined, typeOnly: boolean) => {
    if (specifier === undefined || !ts.isStringLiteralLike(specifier)) return;
    const { text } = specifier;
    const file = text.startsWith('.')
      ? posix.join(posix.dirname(tree.fileName), text.replace(/\.js$/, '.ts'))
      : undefined;
    found.push({ specifier: text, file, typeOnly });
  };
  for (const node of nodesOf(tree)) {
    if (ts.isImportDeclaration(node)) {
      add(node.moduleSpecifier, node.importClause?.phaseModifier === ts.SyntaxKind.TypeKeyword);
    } else if (ts.isExportDeclaration(node)) {
      add(node.moduleSpecifier, node.isTypeOnly);
    } else if (ts.isImportTypeNode(node) && ts.isLiteralTypeNode(node.argument)) {
      add(node.argument.literal, true);
    } else if (ts.isCallExpression(node) && node.expression.kind === ts.SyntaxKind.ImportKeyword) {
      add(node.arguments[0], false);
    }
  }
  return found;
}
