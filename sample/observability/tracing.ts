import { registerInstrumentations } from '@opentelemetry/instrumentation';
import { RedisCacheInstrumentation } from 'nestjs-redis-cache-store/opentelemetry';

/** To be called before the application is made. */
export function traceStores(): () => void {
  return registerInstrumentations({ instrumentations: [new RedisCacheInstrumentation()] });
}
