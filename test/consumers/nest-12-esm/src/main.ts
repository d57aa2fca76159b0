import { probe } from './probe.js';

await probe('memory:');
await probe(process.env.REDIS_URL);
