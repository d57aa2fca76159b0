import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import ts from 'typescript';
import { readSources, ROOT } from '../support/sources.js';

interface Manifest {
  name: string;
  version: string;
  type: string;
  license: string;
  sideEffects: boolean;
  engines: Record<string, string>;
  exports: Record<string, string | { types: string; default: string }>;
  files: string[];
  scripts: Record<string, string>;
  dependencies: Record<string, string>;
  peerDependencies: Record<string, string>;
  peerDependenciesMeta: Record<string, { optional: boolean }>;
  devDependencies: Record<string, string>;
}

const read = (file: string) => readFileSync(join(ROOT, file), 'utf8');
const manifest = JSON.parse(read('package.json')) as Manifest;
const entries = Object.entries(manifest.exports).flatMap(([subpath, target]) =>
  typeof target === 'string' ? [] : [{ subpath, ...target }],
);

describe('package.json', () => {
  it('is an ES module for the versions of Node that can load one with require()', () => {
    expect(manifest).toMatchObject({
      name: 'nestjs-redis-cache-store',
      type: 'module',
      license: 'MIT',
      sideEffects: false,
      engines: { node: '^20.19.0 || ^22.12.0 || >=24' },
    });
  });

  it('exports the package, its health check and its manifest, nothing else', () => {
    expect(manifest.exports).toEqual({
      '.': { types: './dist/index.d.ts', default: './dist/index.js' },
      './health': { types: './dist/health/index.d.ts', default: './dist/health/index.js' },
      './package.json': './package.json',
    });
    // Conditions are tried in the order they are written.
    for (const { subpath } of entries) {
      expect(Object.keys(manifest.exports[subpath] as object)).toEqual(['types', 'default']);
    }
  });

  it('has a source for every export, and the compiler and Jest find it under the same name', async () => {
    const { config } = ts.readConfigFile(join(ROOT, 'tsconfig.json'), (file) => readFileSync(file, 'utf8')) as {
      config: { compilerOptions: { paths: Record<string, string[]> } };
    };
    const sources = entries.map(({ subpath, default: code }) => {
      const source = code.replace('./dist/', './lib/').replace(/\.js$/, '.ts');
      return [manifest.name + subpath.slice(1), [source]] as const;
    });
    expect(config.compilerOptions.paths).toEqual(Object.fromEntries(sources));
    for (const [name, [source]] of sources) {
      expect({ source, exists: existsSync(join(ROOT, source ?? '')) }).toEqual({ source, exists: true });
      expect(Object.keys((await import(name)) as object)).not.toEqual([]);
    }
  });

  it('packs what was built, and papers', () => {
    expect(manifest.files).toEqual(['dist', 'CHANGELOG.md']);
    for (const paper of ['README.md', 'LICENSE', 'CHANGELOG.md'])
      expect([paper, existsSync(join(ROOT, paper))]).toEqual([paper, true]);
  });

  it('leaves Nest, ioredis and rxjs to the application, which has one copy of each', () => {
    expect(manifest.peerDependencies).toEqual({
      '@nestjs/common': '^11.0.0 || ^12.0.0',
      '@nestjs/core': '^11.0.0 || ^12.0.0',
      '@nestjs/terminus': '^11.0.0 || ^12.0.0',
      ioredis: '^6.0.0',
      'reflect-metadata': '^0.1.13 || ^0.2.0',
      rxjs: '^7.8.0',
    });
    expect(manifest.peerDependenciesMeta).toEqual({ '@nestjs/terminus': { optional: true } });
    for (const peer of Object.keys(manifest.peerDependencies)) expect(manifest.dependencies).not.toHaveProperty([peer]);
  });

  it('brings few dependencies', () => {
    expect(Object.keys(manifest.dependencies)).toEqual(['@standard-schema/spec', 'ms', 'msgpackr']);
  });

  it('declares every package that lib imports', () => {
    const declared = new Set(Object.keys({ ...manifest.dependencies, ...manifest.peerDependencies }));
    const imported = readSources().flatMap(({ imports }) => imports.filter(({ file }) => file === undefined));
    const packages = imported.map(({ specifier }) => /^(@[^/]+\/)?[^/]+/.exec(specifier)?.[0] ?? specifier);
    expect(packages.filter((name) => !name.startsWith('node:') && !declared.has(name))).toEqual([]);
  });

  it('pins what it is developed with, and tests every peer', () => {
    for (const [name, range] of Object.entries(manifest.devDependencies)) {
      expect(`${name}@${range}`).toMatch(/@\d+\.\d+\.\d+$/);
    }
    expect(Object.keys(manifest.devDependencies)).toEqual(
      expect.arrayContaining(Object.keys(manifest.peerDependencies)),
    );
  });

  it('runs nothing when it is installed', () => {
    const hooks = ['preinstall', 'install', 'postinstall', 'prepare'];
    expect(Object.keys(manifest.scripts).filter((name) => hooks.includes(name))).toEqual([]);
  });
});

describe('package-lock.json', () => {
  const lock = JSON.parse(read('package-lock.json')) as {
    packages: Record<string, Partial<Manifest & { resolved: string }>>;
  };

  it('belongs to package.json', () => {
    const { name, version, dependencies, devDependencies, peerDependencies } = manifest;
    expect(lock.packages['']).toMatchObject({ name, version, dependencies, devDependencies, peerDependencies });
  });

  it('names no host that packages came from', () => {
    expect(Object.entries(lock.packages).filter(([, { resolved }]) => resolved !== undefined)).toEqual([]);
  });
});
