import { probe } from './probe.js';

describe('the package', () => {
  it('works on memory', () => probe('memory:'));
  it('works on Redis', () => probe(process.env.REDIS_URL));
});
