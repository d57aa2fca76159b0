import { probeAdapters } from './adapters';
import { probe } from './probe';

async function main() {
  await probe('memory:');
  await probe(process.env.REDIS_URL);
  await probeAdapters(process.env.REDIS_URL);
}

void main();
