// TypeScript for `require`, as typescript-loader.mjs is for `import`: the sources run as CommonJS, which hooks of `require` see.
const { existsSync, readFileSync } = require('node:fs');
const Module = require('node:module');
const path = require('node:path');
const { transformSync } = require('@swc/core');

const ROOT = path.join(__dirname, '..', '..');
const NAME = 'nestjs-redis-cache-store';
/** @type {import('@swc/core').Options} */
const SWC = {
  jsc: {
    parser: { syntax: 'typescript', decorators: true },
    transform: { legacyDecorator: true, decoratorMetadata: true, useDefineForClassFields: false },
    keepClassNames: true,
    target: 'es2022',
  },
  module: { type: 'commonjs' },
  swcrc: false,
};

const { _resolveFilename: resolveFilename, _extensions: extensions } = /** @type {any} */ (Module);

/** @type {any} */ (Module)._resolveFilename = (
  /** @type {string} */ request,
  /** @type {any} */ parent,
  /** @type {unknown[]} */ ...rest
) => {
  if (request === NAME || request.startsWith(`${NAME}/`))
    return path.join(ROOT, 'lib', request.slice(NAME.length), 'index.ts');
  if (request === 'ioredis' && process.env.IOREDIS === '5') return resolveFilename('ioredis-5', parent, ...rest);
  if (request.startsWith('.') && parent?.filename?.endsWith('.ts')) {
    const source = path.resolve(path.dirname(parent.filename), request.replace(/\.js$/, '.ts'));
    if (existsSync(source)) return source;
  }
  return resolveFilename(request, parent, ...rest);
};

extensions['.ts'] = (/** @type {any} */ module, /** @type {string} */ filename) => {
  module._compile(transformSync(readFileSync(filename, 'utf8'), { ...SWC, filename }).code, filename);
};
