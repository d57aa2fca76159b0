// `node --import` of this file traces ioredis as applications do that have ES modules: by OpenTelemetry's loader hook.
import { register } from 'node:module';

// ioredis only: the hook would read TypeScript as JavaScript.
register('@opentelemetry/instrumentation/hook.mjs', import.meta.url, { data: { include: ['ioredis', 'ioredis-5'] } });
