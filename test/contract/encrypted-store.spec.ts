import { randomBytes } from 'node:crypto';
import { Stage } from '../support/stage.js';
import { describeAuthOperations } from './auth-contract.js';
import { describeLoads } from './auth-load-contract.js';
import { describeSchemas } from './auth-schema-contract.js';
import { describeSliding } from './auth-sliding-contract.js';
import { describeTags } from './auth-tag-contract.js';
import { describeStore } from './store-contract.js';

// Whatever holds of a store holds of one that seals its records and hides its keys.
const sealed = { encryption: { keys: [randomBytes(32)] }, hashKeys: true };

const stages: [string, () => Promise<Stage>][] = [
  ['memory:, encrypted', () => Stage.memory(sealed)],
  ['redis://, encrypted', () => Stage.redis(sealed)],
];

for (const [name, open] of stages) {
  describeStore(name, open);
  describeAuthOperations(name, open);
  describeLoads(name, open);
  describeSchemas(name, open);
  describeSliding(name, open);
  describeTags(name, open);
}
