import 'reflect-metadata';
import testSuite, { keyvIteratorTests } from '@keyv/test-suite';
import { NestFactory } from '@nestjs/core';
import { Keyv } from 'keyv';
import { RedisCacheModule, RedisCacheStore } from 'nestjs-redis-cache-store';
import { RedisCacheKeyvAdapter } from 'nestjs-redis-cache-store/keyv';
import * as vitest from 'vitest';

const app = await NestFactory.createApplicationContext(
  RedisCacheModule.forRoot({ url: process.env['REDIS_URL'], namespace: 'keyv', ttl: null }),
  { logger: ['error'] },
);
const open = () => new RedisCacheKeyvAdapter(app.get(RedisCacheStore));

vitest.afterAll(() => app.close());
vitest.describe('the adapter passes the suite of Keyv', () => {
  testSuite(vitest, Keyv, open);
  keyvIteratorTests(vitest, Keyv, open);
});
