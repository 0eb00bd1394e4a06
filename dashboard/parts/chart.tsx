// A line chart of uPlot in the colours of the page, with the latest values as text for those who do not see it.
import { useEffect, useRef } from 'preact/hooks';
import uPlot from 'uplot';
import { colour, isDark } from '../data/theme.ts';
import { timeText } from '../model/format.ts';

export interface Line {
  readonly label: string;
  /** Name of a colour in the style sheet. */
  readonly colour: string;
  /** Dashes tell lines apart without colours. */
  readonly dash?: readonly number[];
}

export interface ChartProps {
  readonly title: string;
  readonly hint: string;
  readonly unit: string;
  readonly lines: readonly Line[];
  /** Unix seconds, then one array per line. */
  readonly series: readonly (readonly (number | null)[])[];
}

const HEIGHT = 170;

export function Chart({ title, hint, unit, lines, series }: ChartProps) {
  const box = useRef<HTMLDivElement>(null);
  const plot = useRef<uPlot | undefined>(undefined);
  const latest = lines.map(({ label }, i) => `${label} ${valueText(series[i + 1]?.at(-1), unit)}`).join(', ');

  useEffect(() => {
    const element = box.current;
    if (element === null) return;
    const made = new uPlot(optionsOf(element.clientWidth, lines), dataOf(series), element);
    plot.current = made;
    const resized = new ResizeObserver(() => made.setSize({ width: element.clientWidth, height: HEIGHT }));
    resized.observe(element);
    return () => {
      resized.disconnect();
      made.destroy();
    };
  }, [isDark.value]);

  useEffect(() => {
    plot.current?.setData(dataOf(series));
  }, [series]);

  return (
    <figure class="panel chart">
      <figcaption>
        <h2>{title}</h2>
        <p class="hint">{hint}</p>
      </figcaption>
      <div ref={box} class="plot" role="img" aria-label={`${title}. Now: ${latest}.`} />
      <ul class="legend">
        {lines.map(({ label, colour: name }, i) => (
          <li key={label}>
            <span class={`swatch ${name}`} aria-hidden="true" />
            {label} <strong>{valueText(series[i + 1]?.at(-1), unit)}</strong>
          </li>
        ))}
      </ul>
    </figure>
  );
}

function valueText(value: number | null | undefined, unit: string): string {
  if (value === undefined || value === null) return 'unknown';
  return `${value >= 100 ? Math.round(value) : Math.round(value * 10) / 10}${unit}`;
}

function dataOf(series: ChartProps['series']): uPlot.AlignedData {
  return series.map((values) => [...values]) as unknown as uPlot.AlignedData;
}

function timesOf(_plot: uPlot, seconds: readonly number[]): string[] {
  return seconds.map((each) => timeText(each * 1000));
}

function optionsOf(width: number, lines: readonly Line[]): uPlot.Options {
  const axis = {
    stroke: colour('muted'),
    grid: { stroke: colour('line'), width: 1 },
    ticks: { stroke: colour('line'), width: 1 },
    font: '12px system-ui, sans-serif',
  };
  return {
    width,
    height: HEIGHT,
    legend: { show: false },
    cursor: { show: false },
    scales: { y: { range: (_plot, _min, max) => [0, Math.max(1, max * 1.1)] } },
    axes: [
      { ...axis, space: 80, values: timesOf },
      { ...axis, size: 48 },
    ],
    series: [
      {},
      ...lines.map(({ label, colour: name, dash }) => ({
        label,
        stroke: colour(name),
        width: 2,
        points: { show: false },
        ...(dash && { dash: [...dash] }),
      })),
    ],
  };
}
