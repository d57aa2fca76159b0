// An application that mixes `import` and `require` has one copy of each class: tokens are found, `instanceof` holds.
import assert from 'node:assert/strict';
import { createRequire } from 'node:module';

const require = createRequire(import.meta.url);
const { dependencies } = require('./package.json');

/** Entry points, with the optional peers that they run code of. Without its peers such a one says what to install; the others load. */
const ENTRY_POINTS = [
  [''],
  ['/better-auth'],
  ['/health'],
  ['/keyv'],
  ['/throttler'],
  ['/express-session', 'express-session'],
  ['/opentelemetry', '@opentelemetry/api', '@opentelemetry/instrumentation'],
];

for (const [entry, ...peers] of ENTRY_POINTS) {
  const specifier = `nestjs-redis-cache-store${entry}`;
  if (peers.every((peer) => peer in dependencies)) {
    const [imported, required] = [await import(specifier), require(specifier)];
    assert.ok(Object.keys(imported).length > 0);
    for (const name of Object.keys(imported)) assert.equal(required[name], imported[name], name);
  } else {
    const missing = { message: `${specifier} needs ${peers.join(' and ')}; run: npm install ${peers.join(' ')}` };
    await assert.rejects(import(specifier), missing);
    // Also the copy for programs that run CommonJS by themselves.
    const copy = require.resolve(specifier).replace(`dist${entry}`, `dist/cjs${entry}`);
    assert.match(copy, /dist.cjs.[\w-]+.index\.js$/);
    for (const file of [specifier, copy]) assert.throws(() => require(file), missing);
  }
}
