// What is sampled of the server while it runs, and how much of each may grow.
import { readdirSync } from 'node:fs';
import type { Inside } from './inside.ts';
import type { Lab } from './lab.ts';
import { breaches, type Grown, grown, parseScrape, queued, type Scrape, sumOf } from './scrape.ts';
import { type Pick, type Slope, slopeOf, windowValues } from './slope.ts';

export interface Sample {
  readonly atMs: number;
  readonly rssMiB: number;
  /** After a collection of garbage; undefined in samples without one. */
  readonly heapMiB: number | undefined;
  readonly buffersMiB: number | undefined;
  readonly openFiles: number;
  readonly activeResources: number;
  /** 99th percentile since the sample before. */
  readonly delayMs: number;
  readonly queued: number;
  readonly connectedPeers: number;
  readonly published: number;
  readonly accepted: number;
}

type Figure = 'rssMiB' | 'heapMiB' | 'buffersMiB' | 'openFiles' | 'activeResources' | 'delayMs' | 'queued';

interface Measure {
  readonly figure: Figure;
  readonly name: string;
  /**
   * `least` for what garbage, faults and the load of others only add to; `middle` for what faults also take away, such as
   * connections.
   */
  readonly pick: Pick;
  /**
   * Growth that is allowed: in any run, and for each hour. The first is what a process needs to settle: code is
   * compiled, pools and tables reach their sizes.
   */
  readonly allowed: number;
  readonly allowedPerHour: number;
}

/** What leaks, grows; what is slow to settle grows less than this. */
export const MEASURES: readonly Measure[] = [
  { figure: 'heapMiB', name: 'heap, MiB', pick: 'least', allowed: 10, allowedPerHour: 2 },
  { figure: 'buffersMiB', name: 'buffers, MiB', pick: 'least', allowed: 6, allowedPerHour: 2 },
  { figure: 'rssMiB', name: 'memory (RSS), MiB', pick: 'least', allowed: 24, allowedPerHour: 8 },
  { figure: 'openFiles', name: 'open files', pick: 'middle', allowed: 15, allowedPerHour: 2 },
  { figure: 'activeResources', name: 'active resources', pick: 'middle', allowed: 40, allowedPerHour: 3 },
  { figure: 'delayMs', name: 'event-loop delay p99, ms', pick: 'least', allowed: 25, allowedPerHour: 5 },
  // A broker that is down near the end of a short run fills them. That they empty is checked at the end.
  { figure: 'queued', name: 'messages in queues', pick: 'least', allowed: 1500, allowedPerHour: 5 },
];

export interface Judged {
  readonly measure: Measure;
  readonly slope: Slope;
  /** By this run, in its length. */
  readonly limit: number;
  readonly isLeak: boolean;
}

const WINDOWS = 20;
const MIN_WINDOWS = 6;
/** Of each measure; a window has three samples where there are enough. */
const SAMPLES_PER_WINDOW = 3;
const MIB = 2 ** 20;
const MAX_BREACHES = 20;

export class Sampler {
  readonly samples: Sample[] = [];
  /** Gauges above their bounds. 20 at most. */
  readonly breaches = new Set<string>();
  private first: Scrape | undefined;
  private last: Scrape | undefined;
  private readonly lab: Lab;
  private readonly traffic: { readonly published: number; readonly accepted: number };

  constructor(lab: Lab, traffic: { readonly published: number; readonly accepted: number }) {
    this.lab = lab;
    this.traffic = traffic;
  }

  /** Our gauges that were higher at the last sample than at the first that counts: what may explain a slope. */
  grown(): Grown[] {
    return this.first === undefined || this.last === undefined ? [] : grown(this.first, this.last);
  }

  async take({ counts, withCollection }: { counts: boolean; withCollection: boolean }): Promise<Sample> {
    const { server, inside } = this.lab;
    const scrape = parseScrape((await server.get('/metrics')).body);
    if (counts) this.first ??= scrape;
    this.last = scrape;
    for (const each of breaches(scrape)) if (this.breaches.size < MAX_BREACHES) this.breaches.add(each);
    const sample = {
      atMs: Date.now(),
      rssMiB: server.memoryBytes() / MIB,
      ...(await collected(inside, withCollection)),
      openFiles: readdirSync(`/proc/${server.pid}/fd`).length,
      activeResources: sumOf(scrape, 'nodejs_active_resources_total'),
      delayMs: sumOf(scrape, 'nodejs_eventloop_lag_p99_seconds') * 1000,
      queued: queued(scrape),
      connectedPeers: sumOf(scrape, 'teranode_p2p_connected_peers'),
      published: this.traffic.published,
      accepted: this.traffic.accepted,
    };
    // The delay counts from one scrape to the next: a collection is no delay of the server's own.
    if (withCollection) await server.get('/metrics');
    this.samples.push(sample);
    return sample;
  }
}

async function collected(
  inside: Inside,
  isWanted: boolean,
): Promise<{ heapMiB: number | undefined; buffersMiB: number | undefined }> {
  if (!isWanted) return { heapMiB: undefined, buffersMiB: undefined };
  const { heapUsed, arrayBuffers } = await inside.collect();
  return { heapMiB: heapUsed / MIB, buffersMiB: arrayBuffers / MIB };
}

/** The slopes of all measures from a time on, and which of them are leaks. */
export function judge(samples: readonly Sample[], fromMs: number): Judged[] {
  return MEASURES.map((measure) => {
    const points = samples.flatMap((sample) => {
      const value = sample[measure.figure];
      return value === undefined || sample.atMs < fromMs ? [] : [{ atMs: sample.atMs, value }];
    });
    const windows = Math.min(WINDOWS, Math.max(MIN_WINDOWS, Math.floor(points.length / SAMPLES_PER_WINDOW)));
    const slope = slopeOf(windowValues(points, windows, measure.pick));
    const hours = ((points.at(-1)?.atMs ?? 0) - (points[0]?.atMs ?? 0)) / 3_600_000;
    const limit = measure.allowed + measure.allowedPerHour * hours;
    return { measure, slope, limit, isLeak: slope.leastGrowth > limit };
  });
}
