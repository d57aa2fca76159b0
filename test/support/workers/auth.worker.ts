import { RedisCacheModule, RedisCacheStore } from 'nestjs-redis-cache-store';
import { NestFactory } from '@nestjs/core';
const app = await NestFactory.createApplicationContext(RedisCacheModule.forRoot({ url: 'memory:' }));
const store = app.get(RedisCacheStore);
export const hi = (n: number) => store.put('a', n).then(() => store.get('a'));
export const boom = async () => store.put('', 1);
