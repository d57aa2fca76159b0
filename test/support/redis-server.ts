import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Redis, type RedisOptions } from 'ioredis';
import { findRedisServer, freePort, spawnGuarded } from '../../scripts/processes.mjs';
import { eventually } from './eventually.js';
import type { TlsFiles } from './tls.js';

export interface RedisServerOptions {
  /** More of the command line: `['--maxmemory', '2mb']`. */
  args?: string[];
  /** Lines of a configuration file, for what a server rewrites itself (Sentinel). It is then the first argument. */
  config?: string;
  /** Default: a free one. */
  port?: number;
  /** Default: a temporary folder, removed by `stop()`. A folder given is left alone. */
  dir?: string;
  /** Every write is on disk before it is acknowledged. Default: nothing outlives the process. */
  appendonly?: boolean;
  /** Listen on a socket file too; `url` is then its `unix:` url. */
  unixSocket?: boolean;
  /** TLS only, no plain port; `url` is then a `rediss:` one. */
  tls?: TlsFiles;
  password?: string;
  /** Of its process. Default: ours. */
  env?: NodeJS.ProcessEnv;
}

const READY_WITHIN = 15_000;
const STOPPED_WITHIN = 5000;

/** A real `redis-server` (or `valkey-server`) process of the test's own. It is killed should the test process die. */
export class RedisServer {
  /** Resolves once the server answers. */
  static async start(options: RedisServerOptions = {}): Promise<RedisServer> {
    for (let attempt = 1; ; attempt += 1) {
      const server = new RedisServer(options, options.port ?? (await freePort()));
      try {
        await server.launch();
        return server;
      } catch (error) {
        await server.stop();
        // Between our finding a port free and the server's binding it, somebody else may have taken it.
        if (options.port !== undefined || attempt === 5) throw error;
      }
    }
  }

  readonly dir: string;
  private readonly clients = new Set<Redis>();
  private admin: Redis | undefined;
  private process: ChildProcess | undefined;
  private frozen = false;

  private constructor(
    private readonly options: RedisServerOptions,
    readonly port: number,
  ) {
    this.dir = options.dir ?? mkdtempSync(join(tmpdir(), 'redis-'));
  }

  /** What an application would be given, password included. */
  get url(): string {
    const { password, tls, unixSocket } = this.options;
    if (unixSocket) return `unix://${this.socketPath}`;
    const login = password === undefined ? '' : `:${encodeURIComponent(password)}@`;
    return tls ? `rediss://${login}localhost:${this.port}` : `redis://${login}127.0.0.1:${this.port}`;
  }

  get socketPath(): string {
    return join(this.dir, 'redis.sock');
  }

  get pid(): number {
    const pid = this.process?.pid;
    if (pid === undefined) throw new Error('the server is not running');
    return pid;
  }

  /** Keeps Jest's messages readable when two servers are compared. */
  toJSON(): string {
    return `RedisServer on port ${this.port}`;
  }

  /** What the server has written to its log so far. */
  get log(): string {
    return existsSync(this.logFile) ? readFileSync(this.logFile, 'utf8') : '';
  }

  /** Loses power: nothing is flushed, nobody is told. `restart()` brings it back. */
  async kill9(): Promise<void> {
    await this.end('SIGKILL');
  }

  /** Shuts the server down and removes its folder, unless the folder was given. Repeating it is harmless. */
  async stop(): Promise<void> {
    await this.end('SIGTERM');
    if (this.options.dir === undefined) rmSync(this.dir, { recursive: true, force: true });
  }

  /** Starts it again on the same port and folder, after an orderly shutdown if it still runs. */
  async restart(): Promise<void> {
    await this.end('SIGTERM');
    await this.launch();
  }

  /** SIGSTOP: connections stay open and are accepted, nothing is answered. */
  freeze(): void {
    process.kill(this.pid, 'SIGSTOP');
    this.frozen = true;
  }

  /** Repeating it, or without `freeze()`, is harmless. */
  thaw(): void {
    if (!this.frozen) return;
    process.kill(this.pid, 'SIGCONT');
    this.frozen = false;
  }

  /** A plain client that never reconnects; it ends with the server process at the latest. */
  client(options: RedisOptions = {}): Redis {
    const { password, tls } = this.options;
    const client = new Redis({
      host: '127.0.0.1',
      port: this.port,
      ...(password === undefined ? {} : { password }),
      ...(tls ? { tls: { ca: [tls.ca, tls.cert].map((file) => readFileSync(file)), servername: 'localhost' } } : {}),
      retryStrategy: () => null,
      maxRetriesPerRequest: 0,
      disconnectTimeout: 100, // a timer that outlives a disconnect() whose socket had closed before
      ...options,
    });
    client.on('error', () => undefined); // the failed command says it too
    client.once('end', () => this.clients.delete(client));
    this.clients.add(client);
    return client;
  }

  /** Runs one command past everything under test: `await server.cli('PTTL', 'session:1')`. Rejects where none can run. */
  async cli(command: string, ...args: (string | Buffer | number)[]): Promise<unknown> {
    if (this.frozen) throw new Error(`the server on port ${this.port} is frozen`);
    if (this.admin === undefined || this.admin.status === 'end') this.admin = this.client();
    return this.admin.call(command, ...args);
  }

  private get logFile(): string {
    return join(this.dir, 'redis.log');
  }

  private async launch(): Promise<void> {
    const found = findRedisServer();
    if (found.path === undefined) throw new Error(found.problem);
    const removeDir = this.options.dir === undefined ? this.dir : '';
    const child = spawnGuarded(found.path, this.commandLine(found.version), {
      removeDir,
      env: this.options.env ?? process.env,
    });
    child.unref(); // a server that a test forgot must not keep Jest from exiting
    this.process = child;
    child.once('exit', () => this.disconnectClients());

    const complaint = () => new Error(`${found.path} is not ready:\n${this.log}`);
    let gone = false;
    child.once('error', () => (gone = true)).once('exit', () => (gone = true));
    await eventually(
      async () => {
        if (gone) return;
        const info = await this.probe();
        // Somebody else's server may be on this port, ours about to notice.
        if (Number(/process_id:(\d+)/.exec(info)?.[1]) !== child.pid || /loading:1/.test(info)) throw complaint();
      },
      { timeout: READY_WITHIN },
    );
    if (gone) throw complaint();
  }

  private async probe(): Promise<string> {
    const client = this.client({ enableReadyCheck: false });
    try {
      return await client.info();
    } finally {
      client.disconnect();
    }
  }

  private commandLine(version: number): string[] {
    const { args = [], config, appendonly = false, unixSocket, tls, password } = this.options;
    const settings: Record<string, string | number | undefined> = {
      bind: '127.0.0.1',
      port: tls ? 0 : this.port,
      dir: this.dir,
      logfile: this.logFile,
      daemonize: 'no',
      save: '',
      appendonly: appendonly ? 'yes' : 'no',
      appendfsync: 'always',
      requirepass: password,
      masterauth: password,
      unixsocket: unixSocket ? this.socketPath : undefined,
      'tls-port': tls && this.port,
      'tls-cert-file': tls?.cert,
      'tls-key-file': tls?.key,
      'tls-ca-cert-file': tls?.ca,
      'tls-auth-clients': tls && 'no',
      'repl-diskless-sync-delay': 0,
      'lazyfree-lazy-expire': 'yes', // else every boot warns
      'enable-debug-command': version < 7 ? undefined : 'local', // before, it is
    };
    const file = join(this.dir, 'redis.conf');
    if (config !== undefined && !existsSync(file)) writeFileSync(file, config);
    const flags = Object.entries(settings).flatMap(([name, value]) =>
      value === undefined ? [] : [`--${name}`, String(value)],
    );
    return [...(config === undefined ? [] : [file]), ...flags, ...args];
  }

  private async end(signal: 'SIGTERM' | 'SIGKILL'): Promise<void> {
    this.disconnectClients();
    const child = this.process;
    this.process = undefined;
    if (child?.pid === undefined || child.exitCode !== null || child.signalCode !== null) return;
    const exited = once(child, 'exit');
    child.kill(signal);
    if (this.frozen) child.kill('SIGCONT');
    this.frozen = false;
    const impatience = setTimeout(() => child.kill('SIGKILL'), STOPPED_WITHIN);
    await exited;
    clearTimeout(impatience);
  }

  private disconnectClients(): void {
    for (const client of this.clients) client.disconnect();
    this.clients.clear();
  }
}
