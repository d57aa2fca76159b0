import { Stage } from '../support/stage.js';
import { describeTagLimits } from './tag-limit-contract.js';

describeTagLimits('memory:', () => Stage.memory());
describeTagLimits('redis://', () => Stage.redis());
describeTagLimits('redis-cluster://', () => Stage.cluster());
