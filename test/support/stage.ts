import { Logger } from '@nestjs/common';
import type { RedisCacheModuleOptions, RedisCacheStore } from 'nestjs-redis-cache-store';
import { RedisClock } from '../../lib/connection/redis-clock.js';
import { CacheApp, SILENT } from './cache-app.js';
import { ClusterDeployment } from './cluster.js';
import { RedisServer } from './redis-server.js';
import { END_OF } from './tag-invariant.js';

const realNow = Date.now;
/** By so much Redis' clock is ahead, as this process sees it. */
let ahead = 0;
const realClock = Object.getOwnPropertyDescriptor(RedisClock.prototype, 'now')?.value as (this: RedisClock) => number;
RedisClock.prototype.now = function () {
  return realClock.call(this) + ahead;
};

// What is stored gets older, index and all, by ARGV[1] ms. (Tests may walk over the keys of their own server.)
const AGE = `${END_OF}
for _, key in ipairs(redis.call('KEYS', '*')) do
  if redis.call('TYPE', key).ok == 'zset' then
    local members = redis.call('ZRANGE', key, 0, -1, 'WITHSCORES')
    for i = 1, #members, 2 do
      redis.call('ZADD', key, string.format('%.0f', members[i + 1] - ARGV[1]), members[i])
    end
  end
  -- A counter is a text with moments in it.
  if string.find(key, '+', 1, true) and redis.call('TYPE', key).ok == 'string' then
    local count, ends, blocked, series, forgotten = redis.call('GET', key):match('^(-?%d+) (%d+) ([01]) (%d+) (%d+)$')
    if count then
      local older = function(moment) return string.format('%.0f', moment == '0' and 0 or moment - ARGV[1]) end
      redis.call('SET', key, table.concat({ count, older(ends), blocked, series, older(forgotten) }, ' '), 'KEEPTTL')
    end
  end
  -- The moment, not what is left until then: Redis 7.0 looks at its clock again for every command of a script.
  local expires = endOf(key)
  if expires >= 0 then redis.call('PEXPIREAT', key, string.format('%.0f', expires - ARGV[1])) end
end
`;

/** Where stores are tried out: a backend with all that is opened on it, and time that passes without waiting. */
export class Stage {
  /** `defaults` are options of every store that is opened here. */
  static memory(defaults: RedisCacheModuleOptions = {}): Promise<Stage> {
    return Promise.resolve(new Stage({ ...defaults, url: 'memory:' }, [], () => Promise.resolve()));
  }

  static async redis(defaults: RedisCacheModuleOptions = {}): Promise<Stage> {
    const server = await RedisServer.start();
    return new Stage({ ...defaults, url: server.url }, [server], () => server.stop());
  }

  static async cluster(): Promise<Stage> {
    const cluster = await ClusterDeployment.start({ nodeTimeout: 10_000 }); // no failover, however busy the machine
    return new Stage({ url: cluster.url }, await cluster.masters(), () => cluster.stop());
  }

  /** What the stores of this stage warned of. */
  readonly warnings: string[] = [];
  private readonly apps: CacheApp[] = [];
  private opened = 0;

  private constructor(
    /** Where it is, and options of every store. */
    readonly defaults: RedisCacheModuleOptions & { url: string },
    /** Those that have keys; none for `memory:`. */
    readonly servers: readonly RedisServer[],
    private readonly stopServers: () => Promise<void>,
  ) {}

  /** A store in an application of its own, and, unless the options say otherwise, in an empty namespace. */
  async open<Store = RedisCacheStore>(options: RedisCacheModuleOptions = {}): Promise<Store> {
    const namespace = `stage-${++this.opened}`;
    // Not the default timeout: no test may fail because the machine is busy.
    const app = await CacheApp.start({ namespace, timeout: '10s', ...this.defaults, ...options });
    this.apps.push(app);
    Logger.overrideLogger({ ...SILENT, warn: (message: string) => this.warnings.push(message) });
    return app.store as Store;
  }

  get url(): string {
    return this.defaults.url;
  }

  /** The only server. */
  get server(): RedisServer {
    const [server, ...others] = this.servers;
    if (server === undefined || others.length > 0) throw new Error('there is no single server here');
    return server;
  }

  /** Time passes for everything that is stored and for this process. What takes hours takes a millisecond. */
  async pass(ms: number): Promise<void> {
    const now = Date.now;
    Date.now = () => now() + ms;
    ahead += ms;
    for (const server of this.servers) await server.cli('EVAL', AGE, 0, ms);
  }

  /** Closes what was opened, and brings the time back. */
  async clean(): Promise<void> {
    Date.now = realNow;
    ahead = 0;
    this.warnings.length = 0;
    await Promise.all(this.apps.splice(0).map((app) => app.close()));
  }

  async stop(): Promise<void> {
    await this.clean();
    await this.stopServers();
  }
}
