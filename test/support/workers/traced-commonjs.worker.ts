// The tasks of traced-calls.ts, with everything loaded by `require`, which OpenTelemetry's other hook sees.
import { createRequire } from 'node:module';
import type * as Traced from '../traced-calls.js';

const require = createRequire(import.meta.url);
require('../typescript-require.cjs');
const tasks = require('../traced-calls.ts') as typeof Traced;
export const { leak, everyMethod, everyService, renewedLogin } = tasks;
