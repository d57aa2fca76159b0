import type { Fault, History, Outcome } from './history.js';

const WIDTH = 960;
const PLOT = { left: 64, right: 936, top: 84, bottom: 340 };
/** The latencies between which the axis goes, in ms. */
const RANGE = [0.1, 1000] as const;
/** Dots are drawn once for each so many pixels. */
const GRID = 2;

const COLOURS: Record<Outcome, string> = {
  ok: '#2f7d4f',
  'not-sent': '#3b6fb6',
  unknown: '#d97706',
  refused: '#7c4bb0',
  broken: '#c22f2f',
};
const LABELS: Record<Outcome, string> = {
  ok: 'answered',
  'not-sent': 'not sent',
  unknown: 'unknown outcome',
  refused: 'refused',
  broken: 'failed otherwise',
};
/** The most frequent first, so that none is hidden. */
const OUTCOMES: readonly Outcome[] = ['ok', 'not-sent', 'unknown', 'refused', 'broken'];

/** Draws a run as SVG: every call as a dot at its begin and latency, in the colour of its outcome; faults as bands. */
export function timeline({ calls, faults }: History): string {
  const first = Math.min(...calls.map(({ begin }) => begin));
  const last = calls.reduce((latest, { end }) => Math.max(latest, end), first);
  const x = (time: number) => PLOT.left + ((time - first) / (last - first)) * (PLOT.right - PLOT.left);
  const shown = OUTCOMES.filter((outcome) => calls.some((call) => call.outcome === outcome));
  const dots = shown.map((outcome) => {
    const places = calls
      .filter((call) => call.outcome === outcome)
      .map(({ begin, end }) => `${onGrid(x(begin))} ${onGrid(y(end - begin))}`);
    const path = [...new Set(places)].map((place) => `M${place}h0`).join('');
    return `<path d="${path}" stroke="${COLOURS[outcome]}" stroke-width="3" stroke-linecap="round" stroke-opacity="0.75"/>`;
  });
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} 380" font-family="system-ui, sans-serif" font-size="12" role="img" aria-label="Calls of a run by time, latency and outcome, with the faults meanwhile">`,
    `<rect width="${WIDTH}" height="380" fill="#ffffff"/>`,
    ...faults.toSorted((one, other) => one.begin - other.begin).map((fault, i) => band(fault, i, x)),
    ...latencyAxis(),
    ...timeAxis(first, last, x),
    ...dots,
    ...shown.map(legend),
    '</svg>',
    '',
  ].join('\n');
}

function y(latency: number): number {
  const [lowest, highest] = RANGE;
  const share = Math.log(Math.min(highest, Math.max(lowest, latency)) / lowest) / Math.log(highest / lowest);
  return PLOT.bottom - share * (PLOT.bottom - PLOT.top);
}

function onGrid(place: number): number {
  return Math.round(place / GRID) * GRID;
}

function band({ name, begin, end }: Fault, nth: number, x: (time: number) => number): string {
  const [from, to] = [x(begin), x(end)];
  // Names of neighbours stand at different heights.
  const line = 40 + (nth % 3) * 14;
  const height = PLOT.bottom - line - 4;
  return [
    `<rect x="${from.toFixed(1)}" y="${line + 4}" width="${(to - from).toFixed(1)}" height="${height}" fill="#f0dcc8" fill-opacity="0.7"/>`,
    `<text x="${((from + to) / 2).toFixed(1)}" y="${line}" text-anchor="middle" fill="#5a4634">${name}</text>`,
  ].join('');
}

function latencyAxis(): string[] {
  return [0.1, 1, 10, 100, 1000].map((latency) => {
    const at = y(latency).toFixed(1);
    return [
      `<path d="M${PLOT.left} ${at}H${PLOT.right}" stroke="#d8d8d8"/>`,
      `<text x="${PLOT.left - 6}" y="${Number(at) + 4}" text-anchor="end" fill="#444">${latency} ms</text>`,
    ].join('');
  });
}

function timeAxis(first: number, last: number, x: (time: number) => number): string[] {
  const seconds = (last - first) / 1000;
  const step = [1, 2, 5, 10, 20, 60].find((candidate) => seconds / candidate <= 12) ?? 120;
  return Array.from({ length: Math.floor(seconds / step) + 1 }, (_, i) => {
    const at = x(first + i * step * 1000).toFixed(1);
    return `<text x="${at}" y="${PLOT.bottom + 16}" text-anchor="middle" fill="#444">${i * step} s</text>`;
  });
}

function legend(outcome: Outcome, nth: number): string {
  const left = PLOT.left + nth * 150;
  return `<circle cx="${left}" cy="14" r="4" fill="${COLOURS[outcome]}"/><text x="${left + 9}" y="18" fill="#222">${LABELS[outcome]}</text>`;
}
