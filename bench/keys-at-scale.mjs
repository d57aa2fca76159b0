// `keys()` of 1,000 records among very many foreign ones, and a tag's records: what it costs the server, not only us.
import { open } from './contenders/own.mjs';
import { session, sessionId } from './sessions.mjs';
import { summary } from './statistics.mjs';

const RECORDS = 1_000;
const TAGGED = 100;

export async function keysAtScale(url, admin, { foreign, passes }) {
  const client = await open(url);
  try {
    await admin.call('DEBUG', 'POPULATE', foreign, 'foreign', 200);
    for (let i = 0; i < RECORDS; i++) {
      await client.store.put(sessionId(i), session(i), { tags: i < TAGGED ? ['user:42'] : [] });
    }
    await admin.config('SET', 'slowlog-log-slower-than', '0');
    await admin.config('SET', 'slowlog-max-len', '1000000');
    const observe = async (list, expected) => {
      const samples = [];
      for (let pass = 0; pass < passes; pass++) samples.push(await observed(admin, list, expected));
      const of = (field) => summary(samples.map((sample) => sample[field])).median;
      return { ms: of('ms'), slowestMicros: of('slowest'), bytes: of('bytes'), commands: of('commands') };
    };
    const redisKeys = () => admin.keys('sess-t:*');
    return {
      foreign,
      records: RECORDS,
      tagged: TAGGED,
      passes,
      own: await observe(() => client.store.keys(), RECORDS),
      tag: await observe(() => client.store.keys({ tag: 'user:42' }), TAGGED),
      keysCommand: await observe(redisKeys, RECORDS),
    };
  } finally {
    await admin.config('SET', 'slowlog-log-slower-than', '-1');
    await admin.call('SLOWLOG', 'RESET');
    await client.close();
  }
}

async function observed(admin, list, expected) {
  await admin.call('SLOWLOG', 'RESET');
  const bytesBefore = await bytesSent(admin);
  const start = performance.now();
  const keys = await list();
  const ms = performance.now() - start;
  const bytes = (await bytesSent(admin)) - bytesBefore;
  if (keys.length !== expected) throw new Error(`${keys.length} keys, not ${expected}`);
  const entries = (await admin.call('SLOWLOG', 'GET', -1)).filter(([, , , [command]]) => !isOurs(command));
  // By the admin connection: INFO, and SLOWLOG itself.
  return { ms, bytes, commands: entries.length, slowest: Math.max(...entries.map(([, , micros]) => micros)) };
}

const isOurs = (command) => ['info', 'slowlog'].includes(command.toLowerCase());

async function bytesSent(admin) {
  return Number(/total_net_output_bytes:(\d+)/.exec(await admin.info('stats'))[1]);
}
