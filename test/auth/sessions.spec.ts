import { AuthStage } from './auth-stage.js';
import { describeSessionChanges } from './session-changes-contract.js';
import { describeSessionRevocation } from './session-revocation-contract.js';
import { describeSessions } from './sessions-contract.js';

for (const [name, open] of [
  ['memory:', () => AuthStage.memory()],
  ['redis://', () => AuthStage.redis()],
  ['redis-cluster://', () => AuthStage.cluster()],
] as const) {
  describeSessions(name, open);
  describeSessionChanges(name, open);
  describeSessionRevocation(name, open);
}
