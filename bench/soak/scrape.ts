// Reads `/metrics`: values by series, gauges beside their bounds, what waits in queues.

export interface Scrape {
  /** `name{labels}` -> value. */
  readonly series: ReadonlyMap<string, number>;
  /** Name of a bound -> name of what it bounds. */
  readonly bounded: ReadonlyMap<string, string>;
}

/** Gauges of what waits for something, and is 0 when nothing happens. */
const QUEUES =
  /^teranode_p2p_(\w+_queue_length|\w+_waiting|gossip_under_way|gossip_waiting_bytes|gossip_unsent_bytes|gossip_held_bytes|bans_unwritten)(\{|$)/;
/** Counted in bytes: for the sum of all queues a message is what matters. */
const IN_BYTES = /_bytes(\{|$)/;

export function parseScrape(text: string): Scrape {
  const series = new Map<string, number>();
  const bounded = new Map<string, string>();
  for (const line of text.split('\n')) {
    const [, bound, of] = /^# HELP (\w+_bound) Upper bound of (\w+)/.exec(line) ?? [];
    if (bound !== undefined && of !== undefined) bounded.set(bound, of);
    if (line === '' || line.startsWith('#')) continue;
    const at = line.lastIndexOf(' ');
    series.set(line.slice(0, at), Number(line.slice(at + 1)));
  }
  return { series, bounded };
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
