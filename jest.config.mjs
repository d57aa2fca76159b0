/** @type {import('jest').Config} */
export default {
  testEnvironment: 'node',
  testPathIgnorePatterns: ['/node_modules/', '<rootDir>/test/consumers/'],
  testMatch: ['<rootDir>/test/**/*.spec.ts', '<rootDir>/sample/**/*.spec.ts'],
  // Compiled copies of the sources: two modules of one name would confuse Jest.
  modulePathIgnorePatterns: ['<rootDir>/dist/', '<rootDir>/.build/', '<rootDir>/bench/', '<rootDir>/test/consumers/'],
  extensionsToTreatAsEsm: ['.ts'],
  setupFiles: ['reflect-metadata'],
  moduleNameMapper: {
    '^nestjs-redis-cache-store$': '<rootDir>/lib/index.ts',
    '^nestjs-redis-cache-store/(.+)$': '<rootDir>/lib/$1/index.ts',
    '^(\\.{1,2}/.*)\\.js$': '$1',
    // IOREDIS=5 runs everything on the newest 5, which applications may have as well.
    ...(process.env['IOREDIS'] === '5' ? { '^ioredis$': 'ioredis-5' } : {}),
  },
  transform: {
    '^.+\\.ts$': [
      '@swc/jest',
      {
        jsc: {
          parser: { syntax: 'typescript', decorators: true },
          // As tsc does it for Nest: metadata for injection, class names for the logs.
          transform: { legacyDecorator: true, decoratorMetadata: true, useDefineForClassFields: false },
          keepClassNames: true,
          target: 'es2022',
        },
        module: { type: 'es6' },
        sourceMaps: 'inline',
      },
    ],
  },
  testTimeout: 20_000,
  // Every worker runs servers of its own beside it. Tests of faults wait more than they compute: one worker more than two cores.
  maxWorkers: 3,
  // Modules of finished files stay in memory (ES modules, Node 20), and a worker that collects garbage all the time is too slow.
  workerIdleMemoryLimit: '700MB',
  reporters: ['default', '<rootDir>/scripts/count-reporter.mjs'],
};
