import { probeAdapters } from './adapters.js';
import { probe } from './probe.js';

await probe('memory:');
await probe(process.env.REDIS_URL);
await probeAdapters(process.env.REDIS_URL);
