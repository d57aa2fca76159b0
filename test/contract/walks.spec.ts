import { randomBytes } from 'node:crypto';
import { Stage } from '../support/stage.js';
import { describeWalks } from './walk-contract.js';

const sealed = { encryption: { keys: [randomBytes(32)] }, hashKeys: true };

describeWalks('memory:', () => Stage.memory());
describeWalks('redis://', () => Stage.redis());
describeWalks('redis://, encrypted', () => Stage.redis(sealed));
describeWalks('redis-cluster://', () => Stage.cluster());
