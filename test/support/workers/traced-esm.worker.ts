// The tasks of traced-calls.ts, with everything loaded by `import`. Needs `--import` of traced-imports.mjs.
export { everyMethod, everyService, leak, renewedLogin } from '../traced-calls.js';
