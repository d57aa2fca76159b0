import { describeBackend } from './backend-contract.js';
import { openOnServer } from './open-backend.js';

describeBackend('redis://', openOnServer);
