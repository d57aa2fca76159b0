// results.json: everything; results.md: the tables of docs/benchmarks.md; summary.md: five lines for the README; results.svg: reads a second.
import { mkdirSync, writeFileSync } from 'node:fs';
import prettier from 'prettier';
import { chart } from './chart.mjs';
import { contenders } from './contenders/index.mjs';
import { variants } from './http.mjs';
import { targets } from './targets.mjs';
import { LEAD_IN, workloads } from './throughput.mjs';

export async function writeReport(results, folder) {
  mkdirSync(folder, { recursive: true });
  const write = (file, text) => writeFileSync(new URL(file, folder), text);
  write('results.json', await prettier.format(JSON.stringify(results), { parser: 'json', printWidth: 120 }));
  write('results.svg', chart(results));
  write('results.md', await prettier.format(markdown(results), { parser: 'markdown', printWidth: 120 }));
  write('summary.md', await prettier.format(summary(results), { parser: 'markdown', printWidth: 120 }));
}

const thousands = (perSecond) => (perSecond / 1000).toFixed(perSecond < 100_000 ? 1 : 0);
const times = (ratio) => `${ratio >= 10 ? ratio.toFixed(0) : ratio.toFixed(2)}×`;
const ms = (value) => (value === undefined ? '' : `${value.toFixed(2)} ms`);
const row = (cells) => `| ${cells.join(' | ')} |`;
const table = (head, rows) =>
  [row(head), row(head.map((_, i) => (i === 0 ? '---' : '---:'))), ...rows.map(row)].join('\n');

function markdown(results) {
  return [
    conditions(results),
    '## As multiples of plain ioredis with JSON',
    ratios(results),
    '## Targets',
    targets(results)
      .map(({ met, text }) => `- ${met === undefined ? 'not measured' : met ? 'met' : '**missed**'}: ${text}`)
      .join('\n'),
    '## Where a peer is ahead',
    ahead(results),
    '## Thousand calls a second',
    speed(results),
    '## CPU and bytes',
    'Microseconds of CPU of the calling process for each call (all its threads), and bytes of one record in Redis (`MEMORY USAGE`, mean).',
    costs(results),
    '## Revocation across processes',
    'One process deletes a session that another one holds locally: from the acknowledgement to the first read that finds nothing.',
    revocation(results),
    '## keys() at scale',
    keys(results),
    '## HTTP requests',
    'A Nest application (Express) of one route, 64 connections; every request reads one session, none writes.',
    requests(results),
    ...(results.skipped.length === 0 ? [] : ['## Skipped', skipped(results)]),
  ].join('\n\n');
}

/** Five lines, each a ratio of medians of this run. */
function summary({ speed, revoked, names }) {
  const against = (workload, id, other) =>
    `${times(speed[workload][id].median / speed[workload][other].median)} ${names[other].replace(', ', ' with ')}`;
  return [
    `\`get\`, 64 callers on one connection: ${against('get64', 'own', 'ioredis')}, and ${against('get64', 'own', 'connect-redis')}`,
    `\`get\`, one caller: ${against('get1', 'own', 'ioredis')}`,
    `\`put\`, 64 callers: ${against('put64', 'own', 'ioredis')}`,
    `\`get\` from the near cache, 64 callers: ${against('near', 'own-near', 'node-redis-csc')}; a session that another process deletes is gone within ${ms(revoked['own-near'].acknowledged.p99)} (p99)`,
    `\`get\` with encryption, 64 callers: ${against('get64', 'own-encrypted', 'own')} without encryption`,
  ]
    .map((line) => `- ${line}`)
    .join('\n');
}

function conditions({ machine, settings, versions }) {
  const packages = Object.entries(versions).filter(([name]) => name !== 'autocannon');
  return [
    `${settings.quick ? 'A quick run, for orientation. ' : ''}Node ${machine.node.slice(1)}, Redis ${machine.redis} on the same machine (${machine.cores} cores, ${machine.cpu}).`,
    'Each contender has one connection and a process of its own; 1,000 sessions of about 270 bytes.',
    `Medians of ${settings.rounds} interleaved rounds, in brackets the extremes; the first ${LEAD_IN} ms of each turn do not count. Absolute numbers depend on the machine: compare within a column.`,
    `Peers: ${packages.map(([name, version]) => `${name} ${version}`).join(', ')}.`,
  ].join('\n');
}

const present = ({ names }) => contenders.filter(({ id }) => names[id] !== undefined);

function ratios(results) {
  const rows = present(results).map(({ id }) => [
    results.names[id],
    ...workloads.map((workload) =>
      times(results.speed[workload.id][id].median / results.speed[workload.id].ioredis.median),
    ),
  ]);
  return table(['', ...workloads.map(({ title }) => title)], rows);
}

function speed(results) {
  const columns = [...workloads, { id: 'near', title: 'local hits, 64 callers' }];
  const rows = present(results).map(({ id }) => [
    results.names[id],
    ...columns.map((column) => {
      const of = results.speed[column.id][id];
      return of === undefined ? '' : `${thousands(of.median)} (${thousands(of.min)}–${thousands(of.max)})`;
    }),
  ]);
  return table(['', ...columns.map(({ title }) => title)], rows);
}

function costs(results) {
  const rows = present(results).map(({ id }) => [
    results.names[id],
    ...workloads.map((workload) => results.speed[workload.id][id].cpuPerCall.toFixed(1)),
    Math.round(results.bytes[id]),
  ]);
  return table(['', ...workloads.map(({ title }) => title), 'bytes'], rows);
}

function revocation(results) {
  const rows = Object.entries(results.revoked)
    .filter(([, of]) => of !== undefined)
    .map(([id, of]) =>
      of.late > 0
        ? [results.names[id], `still served after ${of.patience} ms`, '', '']
        : [results.names[id], ms(of.acknowledged.p50), ms(of.acknowledged.p99), ms(of.begun.p99)],
    );
  return table(['', 'p50', 'p99', 'p99 from the call on'], rows);
}

function keys({ keys: of }) {
  const cells = (what, { ms: took, slowestMicros, bytes, commands }) => [
    what,
    `${took.toFixed(1)} ms`,
    `${(slowestMicros / 1000).toFixed(2)} ms`,
    commands,
    `${(bytes / 1000).toFixed(0)} kB`,
  ];
  const count = (n) => n.toLocaleString('en');
  return [
    `${count(of.records)} records of ours among ${count(of.foreign)} foreign keys; medians of ${of.passes} passes.`,
    table(
      ['', 'total', 'longest command on the server', 'commands', 'bytes from Redis'],
      [
        cells('`keys()`', of.own),
        cells(`\`keys({ tag })\`, ${of.tagged} records`, of.tag),
        cells('`KEYS prefix*`, which blocks Redis', of.keysCommand),
      ],
    ),
  ].join('\n\n');
}

function requests({ requests: of }) {
  const rows = variants.map(({ id, name }) => [
    name,
    times(of[id].median / of.none.median),
    `${thousands(of[id].median)} (${thousands(of[id].min)}–${thousands(of[id].max)})`,
    `${of[id].p99} ms`,
  ]);
  return table(['', 'of no guard', 'thousand a second', 'p99'], rows);
}

/** Of every workload: the peers that are faster than the plain store, or, with a local layer, than the near cache. */
function ahead(results) {
  const lines = [...workloads, { id: 'near', title: 'local hits' }].flatMap(({ id: workload, title }) => {
    const speeds = results.speed[workload];
    return present(results)
      .filter(({ id, own }) => !own && speeds[id] !== undefined)
      .flatMap(({ id, local }) => {
        const rival = local ? 'own-near' : 'own';
        const ratio = speeds[id].median / speeds[rival].median;
        return ratio > 1 ? [`- ${title}: ${results.names[id]}, ${times(ratio)} of ${results.names[rival]}`] : [];
      });
  });
  const { bytes } = results;
  for (const { id } of present(results).filter((one) => !one.own && bytes[one.id] < bytes.own)) {
    lines.push(`- bytes in Redis: ${results.names[id]}, ${Math.round(bytes[id])} against ${Math.round(bytes.own)}`);
  }
  if (lines.length === 0)
    return 'Nowhere in this run, like compared with like: local layers with the near cache, the others with the plain store.';
  return [
    'Like compared with like: local layers with the near cache, the others with the plain store.',
    lines.join('\n'),
  ].join('\n\n');
}

function skipped(results) {
  return results.skipped.map(({ name, reason }) => `- ${name}: ${reason}`).join('\n');
}
