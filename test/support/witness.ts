import { tracingChannel, type TracingChannel } from 'node:diagnostics_channel';
import { inspect } from 'node:util';
import type { LoggerService } from '@nestjs/common';

const LEVELS = ['log', 'error', 'warn', 'debug', 'verbose', 'fatal'] as const;
const CONSOLE = ['log', 'info', 'warn', 'error', 'debug', 'trace', 'dir'] as const;
const CHANNELS = ['ioredis:command', 'ioredis:batch', 'ioredis:connect'];
const EVENTS = ['start', 'end', 'asyncStart', 'asyncEnd', 'error'] as const;

/** Sees whatever leaves the process by the side: logs, console, standard streams, ioredis' tracing channels, warnings. */
export class Witness {
  /** What was seen, and where. */
  readonly seen: [where: string, what: string][] = [];
  private readonly undo: (() => void)[] = [];

  constructor() {
    for (const name of CONSOLE) {
      this.replace(console, name, (...args: unknown[]) => this.see(`console.${name}`, ...args));
    }
    for (const name of ['stdout', 'stderr'] as const) {
      const stream = process[name];
      const write = stream.write.bind(stream) as (...args: unknown[]) => boolean;
      this.replace(stream, 'write', (...args: unknown[]) => {
        this.see(name, String(args[0]));
        return write(...args);
      });
    }
    for (const name of CHANNELS) this.listen(name, tracingChannel(name));
    const warn = (warning: Error) => this.see('warning', warning);
    process.on('warning', warn);
    this.undo.push(() => process.off('warning', warn));
  }

  /** A logger for Nest that only tells us. */
  readonly logger = Object.fromEntries(
    LEVELS.map((level) => [level, (...args: unknown[]) => this.see(`logger.${level}`, ...args)]),
  ) as unknown as LoggerService;

  see(where: string, ...what: unknown[]): void {
    for (const each of what) this.seen.push([where, typeof each === 'string' ? each : shown(each)]);
  }

  stop(): void {
    for (const undo of this.undo.splice(0)) undo();
  }

  private replace<T extends object>(owner: T, name: keyof T & string, stand: unknown): void {
    const original = owner[name];
    Object.assign(owner, { [name]: stand });
    this.undo.push(() => void Object.assign(owner, { [name]: original }));
  }

  private listen(name: string, channel: TracingChannel): void {
    const subscribers = Object.fromEntries(
      EVENTS.map((event) => [event, (message: unknown) => this.see(`${name}:${event}`, message)]),
    ) as unknown as Parameters<TracingChannel['subscribe']>[0];
    channel.subscribe(subscribers);
    this.undo.push(() => channel.unsubscribe(subscribers));
  }
}

/** All that a log library, a debugger's console or an error tracker would show of something. */
export function shown(what: unknown): string {
  const texts = [String(what), inspect(what, { depth: null, maxArrayLength: null, maxStringLength: null })];
  try {
    texts.push(JSON.stringify(what) ?? '');
  } catch (error) {
    texts.push(String(error)); // a cycle, whose path is in the message
  }
  if (what instanceof Error) {
    // Hidden properties too, but for the issues of a schema, which are for the caller to look at.
    for (const name of Object.getOwnPropertyNames(what).filter((each) => each !== 'issues')) {
      const property: unknown = Reflect.get(what, name);
      texts.push(
        name,
        property instanceof Error ? shown(property) : inspect(property, { depth: null, showHidden: true }),
      );
    }
  }
  return texts.join('\n');
}
