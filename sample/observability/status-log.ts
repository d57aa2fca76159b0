import { subscribe, unsubscribe } from 'node:diagnostics_channel';
import { Injectable, Logger } from '@nestjs/common';
import type { OnApplicationShutdown } from '@nestjs/common';
import type { CacheConnectionMessage } from 'nestjs-redis-cache-store';

const CONNECTIONS = 'nestjs-redis-cache-store:connection';

/** One structured line for each change: `new ConsoleLogger({ json: true })` writes it as JSON. */
@Injectable()
export class RedisStatusLog implements OnApplicationShutdown {
  private readonly logger = new Logger('Redis');
  private readonly listener = (message: unknown) => {
    const { connection, previous, status, reason } = message as CacheConnectionMessage;
    const line = { message: 'redis status', connection, previous, status, reason };
    if (status === 'down' || status === 'degraded') this.logger.warn(line);
    else this.logger.log(line);
  };

  constructor() {
    subscribe(CONNECTIONS, this.listener);
  }

  onApplicationShutdown(): void {
    unsubscribe(CONNECTIONS, this.listener);
  }
}
