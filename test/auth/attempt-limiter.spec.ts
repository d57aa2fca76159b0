import { describeAttemptLimiter } from './attempt-limiter-contract.js';
import { AuthStage } from './auth-stage.js';

describeAttemptLimiter('memory:', () => AuthStage.memory());
describeAttemptLimiter('redis://', () => AuthStage.redis());
describeAttemptLimiter('redis-cluster://', () => AuthStage.cluster());
