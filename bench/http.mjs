// Whole HTTP requests: how much of a Nest application's speed knowing who asks costs.
import { fork } from 'node:child_process';
import { once } from 'node:events';
import autocannon from 'autocannon';
import { sign } from 'cookie-signature';
import { session, sessionId } from './sessions.mjs';
import { summary } from './statistics.mjs';

export const variants = [
  { id: 'none', name: 'no guard' },
  { id: 'own', name: 'guard, this package' },
  { id: 'own-near', name: 'guard, this package, nearCache' },
  { id: 'express-session', name: 'express-session + connect-redis' },
];
const SESSIONS = 200;
const SECRET = 'a secret for measuring';

export async function http(url, fillOwn, admin, { rounds, seconds }) {
  const ids = Array.from({ length: SESSIONS }, (_, i) => sessionId(i));
  await fillOwn(ids.map((id, i) => [id, session(i)]));
  for (const [i, id] of ids.entries()) {
    const value = { cookie: { originalMaxAge: null, httpOnly: true, path: '/' }, ...session(i) };
    await admin.set(`http-express:${id}`, JSON.stringify(value), 'EX', 1800);
  }
  const servers = [];
  try {
    for (const { id } of variants) {
      const child = fork(new URL('http-server.mjs', import.meta.url), [id, url, SECRET]);
      servers.push({ id, child });
      const [{ port }] = await Promise.race([
        once(child, 'message'),
        once(child, 'exit').then(() => Promise.reject(new Error(`the server "${id}" does not start`))),
      ]);
      servers.at(-1).url = `http://127.0.0.1:${port}/`;
    }
    const samples = {};
    const requests = ids.map((id) => ({
      headers: {
        authorization: `Bearer ${id}`,
        cookie: `connect.sid=${encodeURIComponent(`s:${sign(id, SECRET)}`)}`,
      },
    }));
    const shoot = async (server, duration) => {
      const result = await autocannon({ url: server.url, connections: 64, duration, requests, setupClient: spread });
      if (result.non2xx > 0 || result.errors > 0) throw new Error(`${server.id}: ${result.non2xx} refused`);
      return result;
    };
    for (const server of servers) await shoot(server, 1);
    for (let round = 0; round < rounds; round++) {
      for (let i = 0; i < servers.length; i++) {
        const server = servers[(i + round) % servers.length];
        const { requests: counted, duration, latency } = await shoot(server, seconds);
        (samples[server.id] ??= []).push({ perSecond: counted.total / duration, p99: latency.p99 });
      }
    }
    return Object.fromEntries(
      Object.entries(samples).map(([id, of]) => [
        id,
        { ...summary(of.map(({ perSecond }) => perSecond)), p99: summary(of.map(({ p99 }) => p99)).median },
      ]),
    );
  } finally {
    for (const { child } of servers) child.kill('SIGKILL');
  }
}

let connections = 0;
/** Not all connections begin with the same session. */
function spread(client) {
  connections++;
  const { requestIterator } = client;
  for (let n = 0; n < (connections * 37) % SESSIONS; n++) requestIterator?.nextRequest();
}
