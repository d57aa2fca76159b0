export { SpanKind, SpanStatusCode } from '@opentelemetry/api';
export { InstrumentationBase } from '@opentelemetry/instrumentation';
export declare const isInstalled: boolean;
