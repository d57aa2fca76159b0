// A folder of lib/ with an index.ts is an entry point of the package: lib/health/ is nestjs-redis-cache-store/health.
// tsconfig.json, Jest and the loader of the tests' processes find such a folder by a pattern. package.json has to name each:
// `npm run entry-points` writes `exports` and `typesVersions` into it, and test/unit/package-manifest.spec.ts compares them.
import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const ROOT = join(dirname(fileURLToPath(import.meta.url)), '..');

/** `exports` and `typesVersions` of package.json, as the folders of lib/ have it. */
export function describeEntryPoints() {
  const folders = readdirSync(join(ROOT, 'lib')).filter((name) => existsSync(join(ROOT, 'lib', name, 'index.ts')));
  const subpaths = ['.', ...folders.toSorted().map((folder) => `./${folder}`)];
  return {
    exports: {
      ...Object.fromEntries(subpaths.map((subpath) => [subpath, conditionsOf(subpath)])),
      './package.json': './package.json',
    },
    // TypeScript with `moduleResolution: node` does not read `exports`.
    typesVersions: { '*': Object.fromEntries(folders.map((folder) => [folder, [`./dist/cjs/${folder}/index.d.ts`]])) },
  };
}

/**
 * Node takes `module-sync` for `import` and for `require`: an application that mixes them has one copy of each class.
 * `require` is for what runs CommonJS without Node's own loader (Jest) or resolves types for it.
 * Conditions are tried in the order they are written.
 * @param {string} subpath
 */
function conditionsOf(subpath) {
  /** @param {string} dist */
  const target = (dist) => {
    const index = `./${join(dist, subpath, 'index')}`;
    return { types: `${index}.d.ts`, default: `${index}.js` };
  };
  return { 'module-sync': target('dist'), import: target('dist'), require: target('dist/cjs') };
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const file = join(ROOT, 'package.json');
  const manifest = JSON.parse(readFileSync(file, 'utf8'));
  writeFileSync(file, `${JSON.stringify({ ...manifest, ...describeEntryPoints() }, undefined, 2)}\n`);
}
