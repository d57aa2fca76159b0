// An application that mixes `import` and `require` has one copy of each class: tokens are found, `instanceof` holds.
import assert from 'node:assert/strict';
import { createRequire } from 'node:module';

const require = createRequire(import.meta.url);
for (const specifier of ['nestjs-redis-cache-store', 'nestjs-redis-cache-store/health']) {
  const [imported, required] = [await import(specifier), require(specifier)];
  assert.ok(Object.keys(imported).length > 0);
  for (const name of Object.keys(imported)) assert.equal(required[name], imported[name], name);
}

/** Adapters load without their peers; the one that runs its peer says what to install, also as the copy for what runs CommonJS by itself. */
const adapter = 'nestjs-redis-cache-store/express-session';
for (const entry of ['better-auth', 'keyv', 'throttler']) {
  const specifier = `nestjs-redis-cache-store/${entry}`;
  assert.deepEqual(Object.keys(await import(specifier)), Object.keys(require(specifier)));
}
if ('express-session' in require('./package.json').dependencies) {
  assert.equal((await import(adapter)).RedisCacheSessionStore, require(adapter).RedisCacheSessionStore);
} else {
  const copy = require.resolve(adapter).replace(/dist.express-session/, 'dist/cjs/express-session');
  const missing = { message: `${adapter} needs express-session; run: npm install express-session` };
  await assert.rejects(import(adapter), missing);
  for (const file of [adapter, copy]) assert.throws(() => require(file), missing);
}
