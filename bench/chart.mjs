// A bar for each contender: thousand reads a second at 64 callers. The near cache is out of scale and broken off.
import { contenders } from './contenders/index.mjs';

const LEFT_MARGIN = 20;
/** A generous width of one character of a label: fonts differ, and nothing may be cut off. */
const CHARACTER = 8;
const BARS = 480;
const RIGHT = 110;
const TOP = 62;
const ROW = 32;
const BAR = 20;

export function chart({ names, speed, machine }) {
  const rows = contenders
    .filter(({ id }) => names[id] !== undefined)
    .map(({ id, own, local }) => ({ name: names[id], own, local, ...speed.get64[id] }))
    .toSorted((a, b) => b.median - a.median);
  // The longest bar may be many times the next: then it is cut, and says so, or nothing else could be compared.
  const [longest, second] = rows.map(({ median }) => median);
  const full = longest > second * 1.6 ? second * 1.25 : longest;
  const height = TOP + rows.length * ROW + 34;
  const left = LEFT_MARGIN + CHARACTER * Math.max(...rows.map(({ name }) => name.length)) + 10;
  const width = left + BARS + RIGHT;
  const bars = rows.map((row, i) => bar(row, left, TOP + i * ROW, full));
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${height}" width="${width}" height="${height}" role="img" aria-labelledby="title" font-family="system-ui, 'Segoe UI', Helvetica, Arial, sans-serif">
<title id="title">Thousand reads a second at 64 callers: ${escape(rows.map(({ name, median }) => `${name} ${label(median)}`).join(', '))}</title>
<rect width="${width}" height="${height}" fill="#ffffff"/>
<text x="20" y="28" font-size="17" font-weight="600" fill="#1f2328">Thousand reads a second</text>
<text x="20" y="48" font-size="12" fill="#59636e">64 callers, 1,000 sessions of about 270 bytes, one connection each. Hatched: answered from the process' own memory.</text>
<defs>${hatch('own', '#0b6e4f')}${hatch('peer', '#8c959f')}</defs>
${bars.join('\n')}
<text x="20" y="${height - 12}" font-size="11" fill="#59636e">Medians; the thin lines reach from the slowest to the fastest round. Node ${escape(machine.node.slice(1))}, Redis ${escape(machine.redis)}, ${machine.cores} cores.</text>
</svg>
`;
}

function hatch(id, color) {
  return `<pattern id="${id}" width="7" height="7" patternUnits="userSpaceOnUse" patternTransform="rotate(45)"><rect width="7" height="7" fill="${color}"/><rect width="2" height="7" fill="#ffffff" fill-opacity="0.45"/></pattern>`;
}

function bar({ name, own, local, median, min, max }, left, y, full) {
  const scale = (value) => (Math.min(value, full) / full) * BARS;
  const color = own ? '#0b6e4f' : '#8c959f';
  const fill = local ? `url(#${own ? 'own' : 'peer'})` : color;
  const width = scale(median);
  const middle = y + BAR / 2;
  const cut = median > full;
  const spread = cut
    ? `<path d="M${left + width - 26} ${y - 3} l-7 ${BAR + 6} m9 0 l7 ${-BAR - 6}" stroke="#ffffff" stroke-width="3" fill="none"/>`
    : `<path d="M${(left + scale(min)).toFixed(1)} ${middle}H${(left + scale(max)).toFixed(1)}" stroke="#1f2328" stroke-width="1.2"/>`;
  const end = left + (cut ? width : Math.max(width, scale(max))) + 8;
  return [
    `<text x="${left - 10}" y="${middle + 4.5}" font-size="13" text-anchor="end" fill="#1f2328"${own ? ' font-weight="600"' : ''}>${escape(name)}</text>`,
    `<rect x="${left}" y="${y}" width="${width.toFixed(1)}" height="${BAR}" rx="2" fill="${fill}"/>`,
    spread,
    `<text x="${end.toFixed(1)}" y="${middle + 4.5}" font-size="13" fill="#1f2328"${own ? ' font-weight="600"' : ''}>${label(median)}</text>`,
  ].join('');
}

function label(perSecond) {
  const value = perSecond / 1000;
  return value < 100 ? value.toFixed(1) : Math.round(value).toLocaleString('en');
}

function escape(text) {
  return text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;').replaceAll('"', '&quot;');
}
