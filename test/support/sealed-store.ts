import { MemoryBackend } from '../../lib/backend/memory.backend.js';
import { resolveDefaultStore } from '../../lib/resolve-options.js';
import { KeyRing } from '../../lib/record/key-ring.js';
import { Operations } from '../../lib/store/operations.js';
import { RedisCacheStore, type RedisCacheModuleOptions } from 'nestjs-redis-cache-store';

/** Stores over a shelf whose bytes a test can read, put and alter at will, as somebody with access to Redis can. */
export class Shelf {
  readonly warnings: string[] = [];
  private readonly backend = new MemoryBackend(() => true);

  async open(options: RedisCacheModuleOptions): Promise<RedisCacheStore> {
    const warn = (message: string) => void this.warnings.push(message);
    const openKeys = (source: Parameters<typeof KeyRing.open>[0]) => KeyRing.open(source, warn);
    const source = { connection: 'default', database: 0 };
    const settings = await resolveDefaultStore({ url: 'memory:', ...options }, { warn, openKeys, source });
    return new RedisCacheStore(Operations.open(settings, this.backend));
  }

  put(redisKey: string, bytes: Uint8Array): Promise<void> {
    return this.backend.set(redisKey, Buffer.from(bytes), 'never');
  }

  /** @throws if there is nothing */
  async get(redisKey: string): Promise<Buffer> {
    const bytes = await this.backend.get(redisKey);
    if (!bytes) throw new Error(`nothing lies at ${redisKey}`);
    return bytes;
  }

  /** All that lies under a prefix. */
  async keys(prefix: string): Promise<string[]> {
    const all: string[] = [];
    for await (const batch of this.backend.scan(prefix)) all.push(...batch);
    return all;
  }
}
