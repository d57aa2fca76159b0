import { Stage } from '../support/stage.js';
import { describeTags } from './auth-tag-contract.js';

describeTags('redis-cluster://', () => Stage.cluster());
