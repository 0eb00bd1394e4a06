// Draws the figures of gossip as SVG: CPU per message and the 99th percentile of the delay, by rate, a row of panels
// for each wire. Plain text without scripts; its colours follow the reader's light or dark mode.
// `node bench/chart.ts [results.json] [chart.svg]` draws a file that was kept.
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Row } from './measure.ts';
import { WIRES } from './receiver-port.ts';
import type { Results } from './results.ts';

const WIDTH = 880;
const PANEL = { width: 330, height: 200, left: 70, gap: 110, top: 110, rowHeight: 290 } as const;
const LINE_HEIGHT = 20;

/** Colours that people with colour blindness tell apart, on white and on black. */
const COLOURS = [
  ['#595959', '#b0b0b0'],
  ['#0062a8', '#56b4e9'],
  ['#b34700', '#f0a050'],
  ['#00785a', '#33c79b'],
  ['#a8477f', '#e597c3'],
] as const;

interface Series {
  readonly name: string;
  readonly has: (row: Row) => boolean;
}

interface Measure {
  readonly title: string;
  readonly of: (row: Row) => number;
  readonly isLogarithmic: boolean;
}

const MEASURES: readonly Measure[] = [
  { title: 'CPU per message, µs', of: (row) => row.cpuMicrosPerMessage, isLogarithmic: false },
  { title: 'delay, 99th percentile, ms', of: (row) => row.p99Ms, isLogarithmic: true },
];

/** Go, our server with each verifier, and with the first of them the two other kinds of consumers. */
function seriesOf(rows: readonly Row[]): readonly Series[] {
  const inMemory = rows.filter(({ receiver }) => receiver === 'ours, memory');
  const verifiers = [...new Set((inMemory.length > 0 ? inMemory : rows).map(({ verifier }) => verifier))];
  const [first] = verifiers.filter((verifier) => verifier !== 'go');
  const all = [
    { name: 'bare Go receiver', has: ({ receiver }: Row) => receiver === 'go' },
    ...verifiers.map((verifier) => ({
      name: `this server, in memory (${verifier})`,
      has: (row: Row) => row.receiver === 'ours, memory' && row.verifier === verifier,
    })),
    ...['kafka', 'websocket'].map((consumer) => ({
      name: `this server, ${consumer === 'kafka' ? 'Kafka' : 'WebSocket client'} (${first})`,
      has: (row: Row) => row.receiver === `ours, ${consumer}` && row.verifier === first,
    })),
  ];
  return all.filter(({ has }) => rows.some(has)).slice(0, COLOURS.length);
}

export function chart(results: Results): string {
  const { gossip: rows, machine } = results;
  const series = seriesOf(rows);
  const wires = WIRES.filter((wire) => rows.some((row) => row.wire === wire));
  const top = PANEL.top + LINE_HEIGHT * Math.ceil(series.length / 2);
  const height = top + wires.length * PANEL.rowHeight;
  const [day] = machine.date.split('T');
  const on = `${machine.cores} cores of ${machine.cpu}, ${machine.kernel}, Node.js ${machine.node}, ${machine.go}`;
  const run = `commit ${machine.commit}, ${day}${results.isQuick ? ': quick run, figures say little' : ''}`;
  const panels = wires.flatMap((wire, line) =>
    MEASURES.map((measure, column) => {
      const x = PANEL.left + column * (PANEL.width + PANEL.gap);
      const onWire = rows.filter((row) => row.wire === wire);
      const lines = panel(`${wire}: ${measure.title}`, onWire, series, measure);
      return `<g transform="translate(${x} ${top + line * PANEL.rowHeight})">\n${lines.join('\n')}\n</g>`;
    }),
  );
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${height}" role="img" aria-labelledby="title">`,
    '<title id="title">CPU per message and delay of this server beside a bare Go receiver</title>',
    style(),
    `<rect class="ground" width="${WIDTH}" height="${height}"/>`,
    text(20, 26, 'head', 'Subtree announcements received, by rate per second'),
    text(20, 46, 'small', on),
    text(20, 62, 'small', run),
    ...series.flatMap(({ name }, i) => {
      const [x, y] = [20 + (i % 2) * (PANEL.width + PANEL.gap), 88 + Math.floor(i / 2) * LINE_HEIGHT];
      return [`<path class="line c${i}" d="M${x} ${y - 4}h24"/>`, text(x + 32, y, '', name)];
    }),
    ...panels,
    '</svg>',
    '',
  ].join('\n');
}

function panel(title: string, rows: readonly Row[], series: readonly Series[], measure: Measure): string[] {
  const { width, height } = PANEL;
  const rates = [...new Set(rows.map(({ ratePerSecond }) => ratePerSecond))].sort((a, b) => a - b);
  const x = (rate: number) => round(((rates.indexOf(rate) + 0.5) / rates.length) * width);
  const { ticks, y } = axis(rows.map(measure.of), measure.isLogarithmic);
  return [
    text(0, -14, 'title', title),
    ...ticks.flatMap((tick) => [
      `<path class="grid" d="M0 ${y(tick)}h${width}"/>`,
      text(-8, y(tick) + 4, 'small end', tick.toLocaleString('en-US')),
    ]),
    ...rates.map((rate) => text(x(rate), height + 18, 'small middle', rate.toLocaleString('en-US'))),
    ...series.flatMap(({ name, has }, i) => {
      const points = rows.filter(has).toSorted((a, b) => a.ratePerSecond - b.ratePerSecond);
      const at = points.map((row) => `${x(row.ratePerSecond)} ${y(measure.of(row))}`);
      return [
        `<path class="line c${i}" d="M${at.join('L')}"/>`,
        ...points.map((row) => {
          const says = `${name} at ${row.ratePerSecond}: ${measure.of(row)}; lost ${row.lost}`;
          const [cx, cy] = [x(row.ratePerSecond), y(measure.of(row))];
          return `<circle class="c${i}" cx="${cx}" cy="${cy}" r="3.5"><title>${escaped(says)}</title></circle>`;
        }),
      ];
    }),
  ];
}

/** Ticks around all values, and where on the panel a value is. */
function axis(values: readonly number[], isLogarithmic: boolean) {
  const most = Math.max(1, ...values);
  if (!isLogarithmic) {
    const magnitude = 10 ** Math.floor(Math.log10(most));
    const step = ([0.2, 0.5, 1, 2].find((each) => most / (each * magnitude) <= 6) ?? 2) * magnitude;
    const ticks = Array.from({ length: Math.ceil(most / step) + 1 }, (_each, i) => round(i * step));
    const end = ticks.at(-1) ?? 1;
    return { ticks, y: (value: number) => round(PANEL.height * (1 - value / end)) };
  }
  const from = Math.floor(Math.log10(Math.max(0.01, Math.min(...values))));
  const to = Math.max(from + 1, Math.ceil(Math.log10(most)));
  const ticks = Array.from({ length: to - from + 1 }, (_each, i) => Number((10 ** (from + i)).toPrecision(1)));
  const share = (value: number) => (Math.log10(Math.max(value, 10 ** from)) - from) / (to - from);
  return { ticks, y: (value: number) => round(PANEL.height * (1 - share(value))) };
}

function style(): string {
  const colours = (mode: 0 | 1) => COLOURS.map((each, i) => `.c${i}{--c:${each[mode]}}`).join('');
  return `<style>
text{font:13px system-ui,sans-serif;fill:#1f2328}.head{font-size:17px;font-weight:600}.title{font-weight:600}
.small{font-size:11px;fill:#59636e}.end{text-anchor:end}.middle{text-anchor:middle}.ground{fill:#ffffff}
.grid{stroke:#d1d9e0;stroke-width:1}.line{fill:none;stroke:var(--c);stroke-width:2.5}circle{fill:var(--c)}
${colours(0)}
@media (prefers-color-scheme:dark){text{fill:#f0f6fc}.small{fill:#9198a1}.ground{fill:#0d1117}.grid{stroke:#3d444d}
${colours(1)}}
</style>`;
}

function text(x: number, y: number, classes: string, content: string): string {
  return `<text x="${x}" y="${y}"${classes === '' ? '' : ` class="${classes}"`}>${escaped(content)}</text>`;
}

function escaped(content: string): string {
  return content.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;');
}

function round(value: number): number {
  return Math.round(value * 100) / 100;
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const repo = fileURLToPath(new URL('..', import.meta.url));
  const [from = join(repo, 'bench/results/latest.json'), to = join(repo, 'docs/benchmark.svg')] = process.argv.slice(2);
  writeFileSync(to, chart(JSON.parse(readFileSync(from, 'utf8')) as Results));
}
