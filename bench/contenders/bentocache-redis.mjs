import { BentoCache, bentostore } from 'bentocache';
import { redisDriver } from 'bentocache/drivers/redis';

export const name = 'bentocache (Redis only)';

export const open = (url) =>
  openStore(bentostore().useL2Layer(redisDriver({ connection: connectionOf(url), prefix: 'sess-o' })));

export function connectionOf(url) {
  const { hostname, port, pathname } = new URL(url);
  return { host: hostname, port: Number(port), db: Number(pathname.slice(1) || 0) };
}

export function openStore(store) {
  const cache = new BentoCache({ default: 'sessions', stores: { sessions: store } });
  return {
    get: (id) => cache.get({ key: id }),
    put: (id, value, ttlMs) => cache.set({ key: id, value, ttl: ttlMs }),
    delete: (id) => cache.delete({ key: id }),
    close: () => cache.disconnectAll(),
  };
}
