import { Stage } from '../support/stage.js';
import { describeAuthOperations } from './auth-contract.js';
import { describeLoads } from './auth-load-contract.js';
import { describeSchemas } from './auth-schema-contract.js';
import { describeSliding } from './auth-sliding-contract.js';
import { describeTags } from './auth-tag-contract.js';

describeAuthOperations('redis://', () => Stage.redis());
describeLoads('redis://', () => Stage.redis());
describeSchemas('redis://', () => Stage.redis());
describeSliding('redis://', () => Stage.redis());
describeTags('redis://', () => Stage.redis());
