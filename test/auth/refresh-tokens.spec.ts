import { AuthStage } from './auth-stage.js';
import { describeRefreshFamilies } from './refresh-families-contract.js';
import { describeRefreshTokens } from './refresh-tokens-contract.js';

describeRefreshTokens('memory:', () => AuthStage.memory());
describeRefreshTokens('redis://', () => AuthStage.redis());
describeRefreshTokens('redis-cluster://', () => AuthStage.cluster());
describeRefreshFamilies('memory:', () => AuthStage.memory());
describeRefreshFamilies('redis://', () => AuthStage.redis());
describeRefreshFamilies('redis-cluster://', () => AuthStage.cluster());
