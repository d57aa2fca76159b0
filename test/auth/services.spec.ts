import { randomBytes } from 'node:crypto';
import { Stage } from '../support/stage.js';
import { describeAttemptLimiter } from './attempt-limiter-contract.js';
import { AuthStage } from './auth-stage.js';
import { describeOneTimeCodes } from './one-time-codes-contract.js';
import { describeRefreshFamilies } from './refresh-families-contract.js';
import { describeRefreshTokens } from './refresh-tokens-contract.js';
import { describeSessionChanges } from './session-changes-contract.js';
import { describeSessionRevocation } from './session-revocation-contract.js';
import { describeSessions } from './sessions-contract.js';

const sealed = { encryption: { keys: [randomBytes(32)] }, hashKeys: true };

// One stage for all services: a Cluster takes longer to start than they take to try.
describe.each([
  ['memory:', () => Stage.memory()],
  ['redis://', () => Stage.redis()],
  ['redis:// with encryption and hashKeys', () => Stage.redis(sealed)],
  ['redis-cluster://', () => Stage.cluster()],
])('over %s', (_, open) => {
  let stage: AuthStage;
  beforeAll(async () => void (stage = new AuthStage(await open())));
  // Time passes the faster, the fewer keys there are.
  afterEach(() => Promise.all(stage.stage.servers.map((server) => server.cli('FLUSHALL'))));
  afterAll(() => stage?.stop());

  for (const describeService of [
    describeSessions,
    describeSessionChanges,
    describeSessionRevocation,
    describeRefreshTokens,
    describeRefreshFamilies,
    describeOneTimeCodes,
    describeAttemptLimiter,
  ]) {
    describeService(() => stage);
  }
});
