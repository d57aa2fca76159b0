import { Stage } from '../support/stage.js';
import { describeAuthOperations } from './auth-contract.js';
import { describeLoads } from './auth-load-contract.js';
import { describeSchemas } from './auth-schema-contract.js';
import { describeSliding } from './auth-sliding-contract.js';
import { describeTags } from './auth-tag-contract.js';

describeAuthOperations('memory:', () => Stage.memory());
describeLoads('memory:', () => Stage.memory());
describeSchemas('memory:', () => Stage.memory());
describeSliding('memory:', () => Stage.memory());
describeTags('memory:', () => Stage.memory());
