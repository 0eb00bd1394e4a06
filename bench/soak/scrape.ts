// Reads `/metrics`: values by series, gauges beside their bounds, what waits in queues.

export interface Scrape {
  /** `name{labels}` -> value. */
  readonly series: ReadonlyMap<string, number>;
  /** Name of a bound -> name of what it bounds. */
  readonly bounded: ReadonlyMap<string, string>;
  /** Names of gauges. */
  readonly gauges: ReadonlySet<string>;
}

export interface Grown {
  readonly gauge: string;
  readonly from: number;
  readonly to: number;
}

/** Of our own gauges, sizes of tables for example; seconds and times aside. */
const SIZES = /^teranode_p2p_(?!.*(_bound|_seconds)$)/;
const MAX_GROWN = 20;

/** Gauges of what waits for something, and is 0 when nothing happens. */
const QUEUES =
  /^teranode_p2p_(\w+_queue_length|\w+_waiting|gossip_under_way|gossip_waiting_bytes|gossip_unsent_bytes|gossip_held_bytes|bans_unwritten)(\{|$)/;
/** Counted in bytes: for the sum of all queues a message is what matters. */
const IN_BYTES = /_bytes(\{|$)/;

export function parseScrape(text: string): Scrape {
  const series = new Map<string, number>();
  const bounded = new Map<string, string>();
  const gauges = new Set<string>();
  for (const line of text.split('\n')) {
    const [, bound, of] = /^# HELP (\w+_bound) Upper bound of (\w+)/.exec(line) ?? [];
    if (bound !== undefined && of !== undefined) bounded.set(bound, of);
    const [, gauge] = /^# TYPE (\w+) gauge$/.exec(line) ?? [];
    if (gauge !== undefined) gauges.add(gauge);
    if (line === '' || line.startsWith('#')) continue;
    const at = line.lastIndexOf(' ');
    series.set(line.slice(0, at), Number(line.slice(at + 1)));
  }
  return { series, bounded, gauges };
}

/** Sum of all series of a metric. */
export function sumOf({ series }: Scrape, name: string): number {
  let sum = 0;
  for (const [key, value] of series) if (key === name || key.startsWith(`${name}{`)) sum += value;
  return sum;
}

/** Gauges above their bounds, as text. */
export function breaches({ series, bounded }: Scrape): string[] {
  return [...series].flatMap(([key, bound]) => {
    const [, name = '', labels = ''] = /^(\w+)(.*)$/.exec(key) ?? [];
    const gauge = `${bounded.get(name)}${labels}`;
    const value = series.get(gauge);
    return value !== undefined && value > bound ? [`${gauge} is ${value}, its bound ${bound}`] : [];
  });
}

/** Queues that are not empty. */
export function waiting({ series }: Scrape): string[] {
  return [...series].filter(([key, value]) => QUEUES.test(key) && value > 0).map(([key, value]) => `${key} ${value}`);
}

/** Messages in all queues. */
export function queued({ series }: Scrape): number {
  let sum = 0;
  for (const [key, value] of series) if (QUEUES.test(key) && !IN_BYTES.test(key)) sum += value;
  return sum;
}

/** Gauges that are higher in the second scrape, the largest growth first: 20 at most. */
export function grown(first: Scrape, second: Scrape): Grown[] {
  return [...second.series]
    .filter(([key]) => second.gauges.has(key.split('{')[0] ?? '') && SIZES.test(key.split('{')[0] ?? ''))
    .map(([gauge, to]) => ({ gauge, from: first.series.get(gauge) ?? 0, to }))
    .filter(({ from, to }) => to > from)
    .sort((a, b) => b.to - b.from - (a.to - a.from))
    .slice(0, MAX_GROWN);
}
