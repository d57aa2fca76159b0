import { randomBytes } from 'node:crypto';
import { Stage } from '../support/stage.js';
import { describeCounters } from './counter-contract.js';

const sealed = { encryption: { keys: [randomBytes(32)] }, hashKeys: true };

describeCounters('memory:', () => Stage.memory());
describeCounters('redis://', () => Stage.redis());
describeCounters('redis://, encrypted', () => Stage.redis(sealed));
describeCounters('redis-cluster://', () => Stage.cluster());
