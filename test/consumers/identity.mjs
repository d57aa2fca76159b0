// An application that mixes `import` and `require` has one copy of each class: tokens are found, `instanceof` holds.
import assert from 'node:assert/strict';
import { createRequire } from 'node:module';

const require = createRequire(import.meta.url);
for (const specifier of ['nestjs-redis-cache-store', 'nestjs-redis-cache-store/health']) {
  const [imported, required] = [await import(specifier), require(specifier)];
  assert.ok(Object.keys(imported).length > 0);
  for (const name of Object.keys(imported)) assert.equal(required[name], imported[name], name);
}
