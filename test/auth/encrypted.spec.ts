import { randomBytes } from 'node:crypto';
import { Stage } from '../support/stage.js';
import { AuthStage } from './auth-stage.js';
import { describeOneTimeCodes } from './one-time-codes-contract.js';
import { describeRefreshFamilies } from './refresh-families-contract.js';
import { describeRefreshTokens } from './refresh-tokens-contract.js';
import { describeSessionChanges } from './session-changes-contract.js';
import { describeSessionRevocation } from './session-revocation-contract.js';
import { describeSessions } from './sessions-contract.js';

const open = async () => new AuthStage(await Stage.redis({ encryption: { keys: [randomBytes(32)] }, hashKeys: true }));

for (const describeService of [
  describeSessions,
  describeSessionChanges,
  describeSessionRevocation,
  describeRefreshTokens,
  describeRefreshFamilies,
  describeOneTimeCodes,
]) {
  describeService('redis:// with encryption and hashKeys', open);
}
