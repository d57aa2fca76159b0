import { Stage } from '../support/stage.js';
import { describeStore } from './store-contract.js';

describeStore('redis://', () => Stage.redis());
