import { context, metrics, trace } from '@opentelemetry/api';
import {
  AggregationTemporality,
  InMemoryMetricExporter,
  type MetricData,
  MeterProvider,
  PeriodicExportingMetricReader,
} from '@opentelemetry/sdk-metrics';
import { InMemorySpanExporter, NodeTracerProvider, SimpleSpanProcessor } from '@opentelemetry/sdk-trace-node';

/** OpenTelemetry's SDK with a collector in memory, as the global providers of this process. */
export class Collector {
  readonly spans = new InMemorySpanExporter();
  private readonly points = new InMemoryMetricExporter(AggregationTemporality.CUMULATIVE);
  private readonly tracerProvider = new NodeTracerProvider({ spanProcessors: [new SimpleSpanProcessor(this.spans)] });
  private readonly meterProvider = new MeterProvider({
    readers: [new PeriodicExportingMetricReader({ exporter: this.points, exportIntervalMillis: 2 ** 30 })],
  });

  constructor() {
    this.tracerProvider.register();
    metrics.setGlobalMeterProvider(this.meterProvider);
  }

  /** The metrics so far, by name. */
  async metrics(): Promise<Map<string, MetricData>> {
    this.points.reset();
    await this.meterProvider.forceFlush();
    const all = this.points.getMetrics().flatMap(({ scopeMetrics }) => scopeMetrics.flatMap((scope) => scope.metrics));
    return new Map(all.map((each) => [each.descriptor.name, each]));
  }

  async stop(): Promise<void> {
    await this.tracerProvider.shutdown();
    await this.meterProvider.shutdown();
    trace.disable();
    metrics.disable();
    context.disable();
  }
}
