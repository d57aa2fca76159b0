// `node --import` of this file runs TypeScript as Jest does, from the sources: no build to wait for or to be out of date.
import { existsSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { register } from 'node:module';
import { fileURLToPath } from 'node:url';
import { isMainThread } from 'node:worker_threads';
import { transform } from '@swc/core';
import config from '../../jest.config.mjs';

const ROOT = new URL('../../', import.meta.url);
const NAME = 'nestjs-redis-cache-store';

// The hooks run on a thread of their own, which loads this file again.
if (isMainThread) register(import.meta.url);

/** @type {import('node:module').ResolveHook} */
export async function resolve(specifier, context, next) {
  if (specifier === NAME || specifier.startsWith(`${NAME}/`)) {
    return next(new URL(`lib${specifier.slice(NAME.length)}/index.ts`, ROOT).href, context);
  }
  const ioredis = config.moduleNameMapper?.['^ioredis$'];
  if (specifier === 'ioredis' && typeof ioredis === 'string') return next(ioredis, context);
  if (/^\.{1,2}\/.*\.js$/.test(specifier)) {
    const source = new URL(specifier.replace(/\.js$/, '.ts'), context.parentURL);
    if (existsSync(source)) return next(source.href, context);
  }
  return next(specifier, context);
}

/** @type {import('node:module').LoadHook} */
export async function load(url, context, next) {
  if (!url.startsWith('file:') || !url.endsWith('.ts')) return next(url, context);
  const filename = fileURLToPath(url);
  const [, options] = /** @type {[string, import('@swc/core').Options]} */ (config.transform?.['^.+\\.ts$'] ?? []);
  const { code } = await transform(await readFile(filename, 'utf8'), { ...options, filename, swcrc: false });
  return { format: 'module', source: code, shortCircuit: true };
}
