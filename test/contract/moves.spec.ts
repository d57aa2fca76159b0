import { randomBytes } from 'node:crypto';
import { Stage } from '../support/stage.js';
import { describeMoves } from './move-contract.js';

const sealed = { encryption: { keys: [randomBytes(32)] }, hashKeys: true };

describeMoves('memory:', () => Stage.memory());
describeMoves('redis://', () => Stage.redis());
describeMoves('redis://, encrypted', () => Stage.redis(sealed));
describeMoves('redis-cluster://', () => Stage.cluster());
