import { randomBytes } from 'node:crypto';
import { Stage } from '../support/stage.js';
import { describeUpdates } from './update-contract.js';

const sealed = { encryption: { keys: [randomBytes(32)] }, hashKeys: true };

describeUpdates('memory:', () => Stage.memory());
describeUpdates('redis://', () => Stage.redis());
describeUpdates('redis://, encrypted', () => Stage.redis(sealed));
describeUpdates('redis-cluster://', () => Stage.cluster());
