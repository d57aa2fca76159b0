// After a build: the package as its users will load it, by its own name and through its own `exports`.
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';

const { name, exports } = JSON.parse(readFileSync('package.json', 'utf8'));
const require = createRequire(import.meta.url);

for (const subpath of Object.keys(exports).filter((path) => !path.endsWith('.json'))) {
  const specifier = name + subpath.slice(1);
  const loaded = await import(specifier);
  assert.ok(Object.keys(loaded).length > 0, `${specifier} exports nothing`);
  assert.ok(!('default' in loaded), `${specifier} has a default export`);
  // CommonJS applications load it too (Nest 11): top-level await anywhere in it would end that.
  assert.deepEqual(Object.keys(require(specifier)), Object.keys(loaded), `require('${specifier}')`);
}

// An application without the optional peer has to type-check.
assert.doesNotMatch(readFileSync('dist/index.d.ts', 'utf8'), /@nestjs\/terminus|\.\/health\//);

/** @type {[{ files: { path: string }[] }]} */
const [packed] = JSON.parse(
  execFileSync('npm', ['pack', '--dry-run', '--json', '--ignore-scripts'], { encoding: 'utf8' }),
);
const strangers = packed.files
  .map(({ path }) => path)
  .filter((path) => !/^(dist\/[\w./-]+\.(js|d\.ts)|package\.json|README\.md|CHANGELOG\.md|LICENSE)$/.test(path));
assert.deepEqual(strangers, [], 'packed, but not meant to be');

console.log(`package check: ${packed.files.length} files, every entry loads with import and require`);
