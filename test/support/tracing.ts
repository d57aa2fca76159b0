import { subscribe } from 'node:diagnostics_channel';
import { trace } from '@opentelemetry/api';
import { registerInstrumentations } from '@opentelemetry/instrumentation';
import { IORedisInstrumentation } from '@opentelemetry/instrumentation-ioredis';
import { InMemorySpanExporter, NodeTracerProvider, SimpleSpanProcessor } from '@opentelemetry/sdk-trace-node';

const exporter = new InMemorySpanExporter();
new NodeTracerProvider({ spanProcessors: [new SimpleSpanProcessor(exporter)] }).register();

/** All that hooks and channels of ioredis were given. */
const told: unknown[] = [];

registerInstrumentations({
  instrumentations: [
    new IORedisInstrumentation({
      requireParentSpan: false,
      // The most talkative serializer, and hooks that look at everything.
      dbStatementSerializer: (name, args) => [name, ...args.map(String)].join(' '),
      requestHook: (_, { cmdName, cmdArgs }) => void told.push(cmdName, cmdArgs),
    }),
  ],
});
for (const name of ['command', 'batch', 'connect'].flatMap((of) =>
  ['start', 'end', 'asyncEnd', 'error'].map((on) => `tracing:ioredis:${of}:${on}`),
)) {
  subscribe(name, (message) => told.push(message));
}

/** Does something within the span of a request. */
export function asRequest<T>(action: () => Promise<T>): Promise<T> {
  return trace.getTracer('test').startActiveSpan('request', (span) => action().finally(() => span.end()));
}

/** What was seen since the last time. */
export function takeSeen(): { commands: string[]; everything: unknown[] } {
  const spans = exporter.getFinishedSpans();
  exporter.reset();
  const commands = spans.map(({ name }) => name);
  const plain = spans.map(({ name, attributes, events, status, links }) => ({
    name,
    attributes,
    events,
    status,
    links,
  }));
  return { commands, everything: [...plain, ...told.splice(0)] };
}
