import * as fc from 'fast-check';
import { LONG } from '../support/fault-report.js';
import { RedisServer } from '../support/redis-server.js';
import { SECRET } from './auth-stage.js';
import { attemptsModel, LIMIT as ATTEMPTS } from './models/attempts.model.js';
import { BUDGET, codesModel } from './models/codes.model.js';
import { Instances, type ServiceModel } from './models/instances.js';
import { refreshTokensModel } from './models/refresh-tokens.model.js';
import { LIMIT as SESSIONS, sessionsModel } from './models/sessions.model.js';

/**
 * A counterexample is found again by what its report says:
 * `REPLAY='{"seed":1,"path":"0:1","replayPath":"AB:C"}' npm test -- test/auth/models.spec.ts -t Sessions`
 */
const replay = JSON.parse(process.env['REPLAY'] ?? '{}') as { seed?: number; path?: string; replayPath?: string };

// Two processes, of which either is killed, loses replies or its connections while it is called. CHAOS=long: ten times as many runs.
describe('a model agrees over two processes, kills, cuts and lost replies:', () => {
  let server: RedisServer;
  let instances: Instances;
  beforeAll(async () => {
    server = await RedisServer.start();
    instances = await Instances.start(server, {
      sessions: { namespace: 'session', idle: '30m', absolute: '12h', limit: { sessions: SESSIONS, when: 'refuse' } },
      refreshTokens: { namespace: 'refresh', idle: '14d', absolute: '90d', retryWindow: '5m' },
      codes: { namespace: 'code', secret: SECRET.toString('hex'), budget: BUDGET },
      attempts: { namespace: 'attempt', limit: ATTEMPTS },
    });
  }, 60_000);
  afterAll(async () => {
    await instances?.stop();
    await server?.stop();
  });

  async function expectAgreed<Model extends object>(service: ServiceModel<Model>): Promise<void> {
    instances.killsLeft = LONG ? 2 : 1;
    const { replayPath, ...found } = replay;
    const commands = fc.commands<Model, Instances, false>(service.steps, {
      maxCommands: 15,
      size: 'max',
      ...(replayPath !== undefined && { replayPath }),
    });
    const run = async (all: Iterable<fc.AsyncCommand<Model, Instances>>) => {
      const model = service.begin();
      await fc.asyncModelRun(() => ({ model, real: instances }), all);
      await service.end(model, instances);
    };
    await fc.assert(fc.asyncProperty(commands, run), {
      numRuns: LONG ? 60 : 6,
      interruptAfterTimeLimit: 60_000,
      ...found,
    });
  }

  it('of Sessions', () => expectAgreed(sessionsModel), 120_000);
  it('of RefreshTokens', () => expectAgreed(refreshTokensModel), 120_000);
  it('of OneTimeCodes', () => expectAgreed(codesModel), 120_000);
  it('of AttemptLimiter', () => expectAgreed(attemptsModel), 120_000);

  it('every fault was among them, and calls were lost', () => {
    expect(instances.lost).toBeGreaterThan(0);
    expect(Object.values(instances.faults).every((count) => count > 0)).toBe(true);
  });
});
