// An instance of an application that limits rates with @nestjs/throttler, in the Redis of REDIS_URL. (Jest on Node 20 cannot load
// @nestjs/throttler, which is CommonJS and requires Nest, which is not.)
import { Controller, Get, Module } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { minutes, Throttle, ThrottlerStorageService } from '@nestjs/throttler';
import { RedisCacheStore } from 'nestjs-redis-cache-store';
import { RedisCacheThrottlerStorage } from 'nestjs-redis-cache-store/throttler';
import { AppModule } from '../../../sample/recipes/throttler.js';

@Controller()
class GreetingController {
  @Get('window')
  window() {
    return 'hello';
  }

  @Get('blocking')
  @Throttle({ default: { blockDuration: minutes(5) } })
  blocking() {
    return 'hello';
  }
}

@Module({ imports: [AppModule], controllers: [GreetingController] })
class LimitedModule {}

const app = await NestFactory.create(LimitedModule, { logger: false });
await app.listen(0);

/** Where the application is. */
export function url(): Promise<string> {
  return app.getUrl();
}

/** What our storage and that of @nestjs/throttler say of six hits. */
export async function compare(key: string, limit: number, ttl: number, block: number) {
  const ours = new RedisCacheThrottlerStorage(app.get(RedisCacheStore));
  const theirs = new ThrottlerStorageService();
  const answers = [];
  for (let i = 0; i < 6; i++) {
    answers.push([
      await ours.increment(key, ttl, limit, block, 'default'),
      await theirs.increment(key, ttl, limit, block, 'default'),
    ] as const);
  }
  theirs.onApplicationShutdown();
  return answers;
}
