// What this package set out to reach, judged by the medians of one run.
import { contenders } from './contenders/index.mjs';

/** `met` is undefined where the run did not measure it. */
export function targets({ speed, revoked, keys, names }) {
  const ratio = (workload, id, other) => speed[workload][id]?.median / speed[workload][other]?.median;
  const atLeast = (floor, text, value) => ({
    met: Number.isFinite(value) ? value >= floor : undefined,
    text: `${text}: at least ${floor}×, measured ${value >= 10 ? value.toFixed(0) : value.toFixed(2)}×`,
  });
  const atMost = (ceiling, text, value) => ({
    met: value === undefined ? undefined : value <= ceiling,
    text: `${text}: at most ${ceiling} ms, measured ${value?.toFixed(2)} ms`,
  });
  const best = contenders
    .filter(({ id, own, local }) => local && !own && speed.near[id] !== undefined)
    .toSorted((a, b) => speed.near[b.id].median - speed.near[a.id].median)[0]?.id;
  return [
    atLeast(0.95, 'get against plain ioredis, 1 caller', ratio('get1', 'own', 'ioredis')),
    atLeast(2, 'get against plain ioredis, 64 callers', ratio('get64', 'own', 'ioredis')),
    atLeast(2.5, 'get against plain ioredis, 512 callers', ratio('get512', 'own', 'ioredis')),
    atLeast(1, 'put against plain `SET … PX`, 64 callers', ratio('put64', 'own', 'ioredis')),
    atLeast(20, `near hits against the best peer with a local layer (${names[best]})`, ratio('near', 'own-near', best)),
    atMost(5, 'revocation across processes, p99', revoked['own-near']?.acknowledged?.p99),
    atMost(2, 'longest command of `keys()` on the server', keys.own.slowestMicros / 1000),
    atMost(5, `listing the ${keys.tagged} records of a tag`, keys.tag.ms),
    atLeast(0.6, 'get with encryption against without, 64 callers', ratio('get64', 'own-encrypted', 'own')),
    atLeast(0.6, 'put with encryption against without, 64 callers', ratio('put64', 'own-encrypted', 'own')),
  ];
}
