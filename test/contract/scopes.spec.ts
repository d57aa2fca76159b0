import { randomBytes } from 'node:crypto';
import { Stage } from '../support/stage.js';
import { describeScopes } from './scope-contract.js';

const sealed = { encryption: { keys: [randomBytes(32)] }, hashKeys: true };

describeScopes('memory:', () => Stage.memory());
describeScopes('redis://', () => Stage.redis());
describeScopes('redis://, encrypted', () => Stage.redis(sealed));
describeScopes('redis-cluster://', () => Stage.cluster());
