import { bentostore } from 'bentocache';
import { memoryDriver } from 'bentocache/drivers/memory';
import { redisBusDriver, redisDriver } from 'bentocache/drivers/redis';
import { connectionOf, openStore } from './bentocache-redis.mjs';

export const name = 'bentocache (memory + Redis + bus)';

export const open = (url) => {
  const connection = connectionOf(url);
  return openStore(
    bentostore()
      .useL1Layer(memoryDriver({ maxItems: 10_000 }))
      .useL2Layer(redisDriver({ connection, prefix: 'sess-l' }))
      .useBus(redisBusDriver({ connection })),
  );
};
