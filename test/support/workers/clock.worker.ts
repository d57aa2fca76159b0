// An instance of the application on a host whose clock is AHEAD ms ahead of what it should be.
const ahead = Number(process.env['AHEAD'] ?? 0);
const realNow = Date.now;
Date.now = () => realNow() + ahead;

const { NestFactory } = await import('@nestjs/core');
const { RedisCacheModule, RedisCacheStore } = await import('nestjs-redis-cache-store');

const options = JSON.parse(process.env['STORE'] ?? '{}') as object;
const module = RedisCacheModule.forRoot({ url: process.env['REDIS_URL'] ?? '', ...options });
const app = await NestFactory.createApplicationContext(module, { logger: false });
const store = app.get(RedisCacheStore);

export const put = (key: string, value: unknown, tags: string[]): Promise<void> => store.put(key, value, { tags });
export const get = (key: string): Promise<unknown> => store.get(key);
export const touch = (key: string): Promise<boolean> => store.touch(key);
export const keys = (tag: string): Promise<string[]> => store.keys({ tag });
