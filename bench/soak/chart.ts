// Draws the samples of a soak as SVG: a panel for each measure, with the least values of its windows, the line through
// them, the warm-up that does not count, and when faults were there. Plain text without scripts.
import type { Injected } from './faults.ts';
import { clamp } from './plan.ts';
import type { Judged, Sample } from './samples.ts';

const WIDTH = 880;
const PANEL = { width: 330, height: 130, left: 70, gap: 110, top: 125, rowHeight: 195 } as const;
const MINUTE_MS = 60_000;
const TICKS = 4;

export interface Drawn {
  readonly title: string;
  readonly samples: readonly Sample[];
  readonly judged: readonly Judged[];
  readonly faults: readonly Injected[];
  readonly startMs: number;
  readonly warmMs: number;
  readonly endMs: number;
}

export function soakChart(drawn: Drawn): string {
  const height = PANEL.top + Math.ceil(drawn.judged.length / 2) * PANEL.rowHeight;
  const panels = drawn.judged.map((each, i) => {
    const x = PANEL.left + (i % 2) * (PANEL.width + PANEL.gap);
    const y = PANEL.top + Math.floor(i / 2) * PANEL.rowHeight;
    return `<g transform="translate(${x} ${y})">\n${panel(each, drawn).join('\n')}\n</g>`;
  });
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${height}" role="img" aria-labelledby="title">`,
    `<title id="title">${escaped(drawn.title)}</title>`,
    STYLE,
    `<rect class="ground" width="${WIDTH}" height="${height}"/>`,
    text(20, 26, 'head', drawn.title),
    text(
      20,
      46,
      'small',
      'Grey line: samples. Dots: one value of each window (the least; of files and resources the middle), and their line.',
    ),
    text(
      20,
      62,
      'small',
      'Orange marks: faults. Shaded: warm-up, not counted. Minutes since the start of the traffic.',
    ),
    ...panels,
    '</svg>',
    '',
  ].join('\n');
}

function panel({ measure, slope, limit, isLeak }: Judged, drawn: Drawn): string[] {
  const { width, height } = PANEL;
  const { startMs, warmMs, endMs } = drawn;
  const points = drawn.samples.flatMap(({ atMs, [measure.figure]: value }) =>
    value === undefined ? [] : [{ atMs, value }],
  );
  const x = (atMs: number) => round((clamp(atMs - startMs, 0, endMs - startMs) / (endMs - startMs)) * width);
  const { ticks, y } = axis(points.map(({ value }) => value));
  const hours = (atMs: number) => (atMs - (slope.points[0]?.atMs ?? 0)) / 3_600_000;
  const line = [slope.points[0], slope.points.at(-1)].map((point) => {
    const atMs = point?.atMs ?? startMs;
    return `${x(atMs)} ${y(slope.start + slope.perHour * hours(atMs))}`;
  });
  const says = `${signed(slope.perHour)} ± ${shown(slope.errorPerHour)} per hour${isLeak ? ': grows' : ''}`;
  const minutes = (endMs - startMs) / MINUTE_MS;
  return [
    text(0, -24, 'title', measure.name),
    text(
      0,
      -9,
      isLeak ? 'small bad' : 'small',
      `${says}; at least ${shown(slope.leastGrowth)}, allowed ${shown(limit)}`,
    ),
    `<rect class="warm" width="${x(warmMs)}" height="${height}"/>`,
    ...ticks.flatMap((tick) => [
      `<path class="grid" d="M0 ${y(tick)}h${width}"/>`,
      text(-8, y(tick) + 4, 'small end', shown(tick)),
    ]),
    ...drawn.faults.map(({ kind, fromMs, toMs = endMs, detail }) => {
      const length = Math.max(1, round(x(toMs) - x(fromMs)));
      return `<rect class="fault" x="${x(fromMs)}" y="${height}" width="${length}" height="6"><title>${escaped(`${kind} ${detail}`)}</title></rect>`;
    }),
    ...(points.length === 0
      ? []
      : [`<path class="raw" d="M${points.map(({ atMs, value }) => `${x(atMs)} ${y(value)}`).join('L')}"/>`]),
    `<path class="fit" d="M${line.join('L')}"/>`,
    ...slope.points.map(({ atMs, value }) => `<circle cx="${x(atMs)}" cy="${y(value)}" r="2.5"/>`),
    ...[0, 0.5, 1].map((share) =>
      text(round(share * width), height + 20, 'small middle', shown(round(share * minutes))),
    ),
  ];
}

/** Ticks from zero to above the greatest value, and where on the panel a value is. */
function axis(values: readonly number[]) {
  const most = Math.max(1, ...values);
  const magnitude = 10 ** Math.floor(Math.log10(most / TICKS));
  const step = [1, 2, 5, 10].map((each) => each * magnitude).find((each) => most / each <= TICKS) ?? most;
  const ticks = Array.from({ length: Math.ceil(most / step) + 1 }, (_each, i) => i * step);
  const end = ticks.at(-1) ?? 1;
  return { ticks, y: (value: number) => round(PANEL.height * (1 - clamp(value, 0, end) / end)) };
}

const STYLE = `<style>
text{font:13px system-ui,sans-serif;fill:#1f2328}.head{font-size:17px;font-weight:600}.title{font-weight:600}
.small{font-size:11px;fill:#59636e}.bad{fill:#b3261e;font-weight:600}.end{text-anchor:end}.middle{text-anchor:middle}
.ground{fill:#fff}.grid{stroke:#d1d9e0}.warm{fill:#eef1f4}.fault{fill:#d9730d;opacity:.7}
.raw{fill:none;stroke:#9aa4af;stroke-width:1}.fit{fill:none;stroke:#0062a8;stroke-width:2}circle{fill:#0062a8}
@media (prefers-color-scheme:dark){text{fill:#f0f6fc}.small{fill:#9198a1}.bad{fill:#ff8a80}.ground{fill:#0d1117}
.grid{stroke:#3d444d}.warm{fill:#161b22}.fit{stroke:#56b4e9}circle{fill:#56b4e9}}
</style>`;

function text(x: number, y: number, classes: string, content: string): string {
  return `<text x="${x}" y="${y}" class="${classes}">${escaped(content)}</text>`;
}

function escaped(content: string): string {
  return content.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;');
}

export function shown(value: number): string {
  const size = Math.abs(value);
  return value.toFixed(size >= 100 || Number.isInteger(value) ? 0 : size >= 10 ? 1 : 2);
}

export function signed(value: number): string {
  return `${value < 0 ? '' : '+'}${shown(value)}`;
}

function round(value: number): number {
  return Math.round(value * 100) / 100;
}
