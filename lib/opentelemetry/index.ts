export { RedisCacheInstrumentation } from './instrumentation.js';
export { RedisCacheTelemetryModule } from './telemetry.module.js';
