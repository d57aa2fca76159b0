// `npm run build`: lib/ to dist/ as ES modules, and to dist/cjs/ as CommonJS.
import { spawnSync } from 'node:child_process';
import { cpSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const ROOT = join(dirname(fileURLToPath(import.meta.url)), '..');
const TSC = createRequire(import.meta.url).resolve('typescript/bin/tsc');

rmSync(join(ROOT, 'dist'), { recursive: true, force: true });
for (const project of ['tsconfig.build.json', 'tsconfig.cjs.json']) {
  const { status } = spawnSync(process.execPath, [TSC, '-p', project], { cwd: ROOT, stdio: 'inherit' });
  if (status !== 0) process.exit(status ?? 1);
}
// What is CommonJS in both: tsc leaves such files where they are.
for (const name of readdirSync(join(ROOT, 'lib'), { recursive: true, encoding: 'utf8' })) {
  if (!/\.(cjs|d\.cts)$/.test(name)) continue;
  for (const dist of ['dist', join('dist', 'cjs')]) cpSync(join(ROOT, 'lib', name), join(ROOT, dist, name));
}
// package.json says "type": "module", which holds down to the next package.json.
writeFileSync(join(ROOT, 'dist', 'cjs', 'package.json'), '{ "type": "commonjs" }\n');
