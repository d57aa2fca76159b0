import { randomBytes } from 'node:crypto';
import { Stage } from '../support/stage.js';
import { describePutOptions } from './put-options-contract.js';

const sealed = { encryption: { keys: [randomBytes(32)] }, hashKeys: true };

describePutOptions('memory:', () => Stage.memory());
describePutOptions('redis://', () => Stage.redis());
describePutOptions('redis://, encrypted', () => Stage.redis(sealed));
describePutOptions('redis-cluster://', () => Stage.cluster());
