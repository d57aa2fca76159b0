import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import ts from 'typescript';
import { describeEntryPoints } from '../../scripts/entry-points.mjs';
import { readSources, ROOT } from '../support/sources.js';

interface Manifest {
  name: string;
  version: string;
  type: string;
  license: string;
  sideEffects: boolean;
  engines: Record<string, string>;
  repository: { type: string; url: string };
  bugs: string;
  homepage: string;
  main: string;
  types: string;
  exports: Record<string, string | Record<string, { types: string; default: string }>>;
  typesVersions: Record<string, Record<string, string[]>>;
  files: string[];
  scripts: Record<string, string>;
  dependencies: Record<string, string>;
  peerDependencies: Record<string, string>;
  peerDependenciesMeta: Record<string, { optional: boolean }>;
  devDependencies: Record<string, string>;
}

const read = (file: string) => readFileSync(join(ROOT, file), 'utf8');
const manifest = JSON.parse(read('package.json')) as Manifest;
const subpaths = Object.keys(manifest.exports).filter((subpath) => !subpath.endsWith('.json'));

const { options: compilerOptions } = ts.parseJsonConfigFileContent(
  ts.readConfigFile(join(ROOT, 'tsconfig.json'), (file) => readFileSync(file, 'utf8')).config,
  { ...ts.sys, readDirectory: () => [] },
  ROOT,
);

describe('package.json', () => {
  it('supports the versions of Node that can load an ES module with require()', () => {
    expect(manifest).toMatchObject({
      name: 'nestjs-redis-cache-store',
      type: 'module',
      license: 'MIT',
      sideEffects: false,
      engines: { node: '^20.19.0 || ^22.12.0 || >=24' },
    });
  });

  it('names every entry point that lib has, for every way to load it (else: npm run entry-points)', () => {
    const { exports, typesVersions } = describeEntryPoints();
    expect(manifest).toMatchObject({ exports, typesVersions });
    expect(Object.keys(manifest.exports)).toEqual(Object.keys(exports));
    // Conditions are tried in the order they are written.
    for (const subpath of subpaths) {
      expect(Object.keys(manifest.exports[subpath] ?? {})).toEqual(['module-sync', 'import', 'require']);
    }
    expect(manifest).toMatchObject({ main: './dist/cjs/index.js', types: './dist/cjs/index.d.ts' });
  });

  it('calls entry points by names that the compiler and Jest find the sources under', async () => {
    expect(subpaths).toEqual(expect.arrayContaining(['.', './health']));
    for (const subpath of subpaths) {
      const specifier = manifest.name + subpath.slice(1);
      const { resolvedModule } = ts.resolveModuleName(specifier, join(ROOT, 'test', 'any.ts'), compilerOptions, ts.sys);
      expect(resolvedModule?.resolvedFileName).toBe(join(ROOT, 'lib', subpath, 'index.ts'));
      expect(Object.keys((await import(specifier)) as object)).not.toEqual([]);
    }
  });

  it('says where the sources and the issues are, which the links of the README need on npm', () => {
    const page = /^git\+(https:\/\/.+)\.git$/.exec(manifest.repository.url)?.[1];
    expect(page).toBeDefined();
    expect(manifest).toMatchObject({ bugs: `${page}/issues`, homepage: `${page}#readme` });
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
      '@nestjs/microservices': '^11.0.0 || ^12.0.0',
      '@nestjs/terminus': '^11.0.0 || ^12.0.0',
      '@nestjs/throttler': '^6.0.0',
      '@nestjs/websockets': '^11.0.0 || ^12.0.0',
      '@opentelemetry/api': '^1.9.0',
      '@opentelemetry/instrumentation': '>=0.52.0 <1.0.0',
      'express-session': '^1.17.0',
      ioredis: '^5.4.2 || ^6.0.0',
      keyv: '^5.0.0 || ^6.0.0',
      'reflect-metadata': '^0.1.13 || ^0.2.0',
      rxjs: '^7.8.0',
    });
    const optional = [
      '@nestjs/microservices',
      '@nestjs/terminus',
      '@nestjs/throttler',
      '@nestjs/websockets',
      '@opentelemetry/api',
      '@opentelemetry/instrumentation',
      'express-session',
      'keyv',
    ];
    expect(manifest.peerDependenciesMeta).toEqual(
      Object.fromEntries(optional.map((name) => [name, { optional: true }])),
    );
    for (const peer of Object.keys(manifest.peerDependencies)) expect(manifest.dependencies).not.toHaveProperty([peer]);
  });

  it('brings few dependencies', () => {
    expect(Object.keys(manifest.dependencies)).toEqual([
      '@standard-schema/spec',
      'libsodium-wrappers',
      'ms',
      'msgpackr',
    ]);
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
