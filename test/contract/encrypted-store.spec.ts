import { randomBytes } from 'node:crypto';
import { Stage } from '../support/stage.js';
import { describeWholeContract } from './whole-contract.js';

// Whatever holds of a store holds of one that seals its records and hides its keys.
const sealed = { encryption: { keys: [randomBytes(32)] }, hashKeys: true };

describeWholeContract('memory:, encrypted', () => Stage.memory(sealed));
describeWholeContract('redis://, encrypted', () => Stage.redis(sealed));
