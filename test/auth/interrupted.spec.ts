import { subscribe, tracingChannel, unsubscribe } from 'node:diagnostics_channel';
import type { Socket } from 'node:net';
import { CacheUnavailableError } from 'nestjs-redis-cache-store';
import { OneTimeCodes, Sessions, type SessionsOptions } from 'nestjs-redis-cache-store/auth';
import { TcpProxy } from '../support/proxy.js';
import { AuthStage, SECRET } from './auth-stage.js';

const calls = tracingChannel('nestjs-redis-cache-store:call');

const OPTIONS: SessionsOptions = {
  namespace: 'session',
  idle: '30m',
  absolute: '12h',
  limit: { sessions: 10, when: 'evict-oldest' },
};

describe('a call that fails after its first write', () => {
  let stage: AuthStage;
  let proxy: TcpProxy;
  let sessions: Sessions;
  let witness: Sessions;
  beforeAll(async () => {
    stage = await AuthStage.redis();
    proxy = await TcpProxy.start(stage.stage.server);
  });
  beforeEach(async () => {
    sessions = (await stage.open({ sessions: OPTIONS }, { url: proxy.url, timeout: 300 })).get(Sessions);
    witness = (await stage.open({ sessions: OPTIONS })).get(Sessions);
  });
  afterEach(async () => {
    await proxy.resume();
    await stage.clean();
  });
  afterAll(async () => {
    await proxy?.stop();
    await stage?.stop();
  });

  /** The error of a call whose network is cut at the event that tells of its first write. */
  async function interrupted(call: () => Promise<unknown>): Promise<unknown> {
    const cuts = sessions.events$.subscribe(() => void proxy.cut());
    try {
      return await call().then(
        (value) => ({ value }),
        (error: unknown) => error,
      );
    } finally {
      cuts.unsubscribe();
      await proxy.resume();
    }
  }

  it('create, whose session exists, does not say that nothing was sent', async () => {
    const error = await interrupted(() => sessions.create('user:42', {}));
    expect(error).toBeInstanceOf(CacheUnavailableError);
    expect(error).toMatchObject({ outcome: 'unknown' });
    expect(await witness.list('user:42')).toHaveLength(1);
  });

  it('regenerate, whose old token is worth nothing, does not say that nothing was sent', async () => {
    const { token } = await sessions.create('user:42', {});
    const error = await interrupted(() => sessions.regenerate(token, { subject: 'user:42' }));
    expect(error).toMatchObject({ outcome: 'unknown' });
    expect(await witness.get(token)).toBeUndefined();
  });

  it('revokeOthers, which has ended a session, does not say that nothing was sent', async () => {
    const { token } = await sessions.create('user:42', {});
    await sessions.create('user:42', {});
    const error = await interrupted(() => sessions.revokeOthers(token));
    expect(error).toMatchObject({ outcome: 'unknown' });
    expect(await witness.list('user:42')).toHaveLength(1);
  });

  it('issue and redeem, which have charged the budget, do not say that nothing was sent', async () => {
    const options = { codes: { namespace: 'code', secret: SECRET, budget: { issues: 3, wrong: 1 } } };
    const codes = (await stage.open(options)).get(OneTimeCodes);
    /** The error of a call whose connection is lost as soon as the budget is charged, so that nothing more is sent. */
    const lost = async (call: (doomed: OneTimeCodes) => Promise<unknown>) => {
      const sockets: Socket[] = [];
      const note = (message: unknown) => void sockets.push((message as { socket: Socket }).socket);
      subscribe('net.client.socket', note);
      const module = await stage
        .open(options, { url: proxy.url, timeout: 300 })
        .finally(() => unsubscribe('net.client.socket', note));
      const end = (message: unknown) => {
        if ((message as { operation: string }).operation !== 'increment') return;
        for (const socket of sockets) socket.destroy();
        void proxy.cut();
      };
      calls.asyncEnd.subscribe(end);
      try {
        return await call(module.get(OneTimeCodes)).catch((error: unknown) => error);
      } finally {
        calls.asyncEnd.unsubscribe(end);
        await proxy.resume();
      }
    };
    const code = await codes.issue('login', 'user:42');
    expect(await lost((doomed) => doomed.issue('login', 'user:42'))).toMatchObject({ outcome: 'unknown' });
    expect(await lost((doomed) => doomed.redeem('login', 'user:42', code))).toMatchObject({ outcome: 'unknown' });
    await expect(codes.issue('login', 'user:42')).rejects.toThrow('too many attempts');
  });
});
