import { inspect } from 'node:util';
import * as api from 'nestjs-redis-cache-store';
import {
  CacheArgumentError,
  CacheCommandError,
  CacheConfigError,
  CacheCorruptError,
  CacheLimitError,
  CacheUnavailableError,
  RedisCacheError,
} from 'nestjs-redis-cache-store';

/** One instance of each class, made with the classes of a copy of the package. */
const instances = (copy: typeof api): RedisCacheError[] => [
  new copy.CacheConfigError('ttl', 'is wrong'),
  new copy.CacheArgumentError('is wrong'),
  new copy.CacheUnavailableError('timeout', 'unknown', 'no answer'),
  new copy.CacheCommandError('OOM', 'is full'),
  new copy.CacheCorruptError('is no record'),
  new copy.CacheLimitError(5),
];
const classes = [
  CacheConfigError,
  CacheArgumentError,
  CacheUnavailableError,
  CacheCommandError,
  CacheCorruptError,
  CacheLimitError,
];

async function loadCopy(): Promise<typeof api> {
  let copy: typeof api | undefined;
  await import.meta.jest.isolateModulesAsync(async () => {
    copy = await import('nestjs-redis-cache-store');
  });
  if (copy === undefined || copy.CacheConfigError === CacheConfigError) throw new Error('this is no copy');
  return copy;
}

describe('the errors', () => {
  it('are instances of their own class and of the base class, also if another copy of the package made them', async () => {
    for (const copy of [api, await loadCopy()]) {
      const table = instances(copy).map((error) => classes.map((errorClass) => error instanceof errorClass));
      expect(table).toEqual(classes.map((_, row) => classes.map((__, column) => row === column)));
      expect(instances(copy).every((error) => error instanceof RedisCacheError && error instanceof Error)).toBe(true);
    }
  });

  it('are told from anything else', () => {
    const forged = { name: 'CacheConfigError', code: 'CACHE_CONFIG' };
    for (const other of [new Error('ours?'), forged, Object.create(null), 'text', 5, null, undefined, () => 1]) {
      expect([RedisCacheError, ...classes].filter((errorClass) => other instanceof errorClass)).toEqual([]);
    }
  });

  it('can be derived from by an application, and the derived class holds for its own instances only', () => {
    class QuotaError extends CacheCommandError {}
    const derived = new QuotaError('OOM', 'is full');
    expect(derived instanceof QuotaError && derived instanceof CacheCommandError).toBe(true);
    expect(new CacheCommandError('OOM', 'is full') instanceof QuotaError).toBe(false);
    expect(derived instanceof CacheUnavailableError).toBe(false);
  });

  it('say their name in the first line of their stack, which does not depend on the name of the class', () => {
    const names = instances(api).map(({ stack }) => /^\w+/.exec(stack ?? '')?.[0]);
    expect(names).toEqual(classes.map(({ name }) => name));
    expect(instances(api).map(({ name }) => name)).toEqual(names);
    expect(instances(api).flatMap((error) => Object.keys(error).filter((key) => key === 'name'))).toEqual([]);
  });

  it('do not show the key of a corrupt record to loggers', () => {
    const error = new CacheCorruptError('is no record', { key: 'SECRET-SESSION-ID' });
    expect(error.key).toBe('SECRET-SESSION-ID');
    expect(inspect(error, { showHidden: true }) + JSON.stringify(error) + error.stack).not.toContain('SECRET');
    expect(new CacheCorruptError('is no record').key).toBeUndefined();
  });

  it('say the store or the connection that an option belongs to', () => {
    const of = (owner: { store?: string; connection?: string }) =>
      new CacheConfigError('ttl', 'must be a duration', owner);
    expect(of({}).message).toBe('option "ttl": must be a duration');
    expect(of({ store: 'code' })).toMatchObject({
      message: 'option "ttl" of the store "code": must be a duration',
      store: 'code',
      option: 'ttl',
    });
    expect(of({ connection: 'audit' })).toMatchObject({
      message: 'option "ttl" of the connection "audit": must be a duration',
      connection: 'audit',
    });
    expect(Object.keys(of({}))).toEqual(expect.not.arrayContaining(['store', 'connection', 'cause']));
  });
});
