// CommonJS, as is ../express-session/peer.cjs, which says why.
try {
  exports.InstrumentationBase = require('@opentelemetry/instrumentation').InstrumentationBase;
  exports.SpanKind = require('@opentelemetry/api').SpanKind;
  exports.SpanStatusCode = require('@opentelemetry/api').SpanStatusCode;
  exports.isInstalled = true;
} catch (error) {
  if (error?.code !== 'MODULE_NOT_FOUND') throw error;
  exports.isInstalled = false;
}
