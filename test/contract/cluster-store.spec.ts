import { Stage } from '../support/stage.js';
import { describeWholeContract } from './whole-contract.js';

describeWholeContract('redis-cluster://', () => Stage.cluster());
