import { Stage } from '../support/stage.js';
import { describeWholeContract } from './whole-contract.js';

describeWholeContract('memory:', () => Stage.memory());
