import { describeBackend } from './backend-contract.js';
import { openOnCluster } from './open-backend.js';

describeBackend('redis-cluster://', openOnCluster);
