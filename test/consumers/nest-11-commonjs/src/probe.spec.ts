import { probeAdapters } from './adapters';
import { probe } from './probe';

describe('the package', () => {
  it('works on memory', () => probe('memory:'));
  it('works on Redis', () => probe(process.env.REDIS_URL));
  it('has adapters that work', () => probeAdapters(process.env.REDIS_URL));
});
