// The back-offs of gossipsub across restarts. A peer that pruned us, or that we pruned, remembers for a minute that we
// must not GRAFT again, and a peer that scores its neighbours counts every GRAFT that comes too early: after a restart
// within that minute, one for each topic. gossipsub keeps its back-offs in memory only.
import { readFile } from 'node:fs/promises';
import { writePrivateFile } from '../../../lib/private-file.ts';
import type { Clock } from '../../../ports/clock.ts';
import type { Logger } from '../../../ports/log.ts';
import { MAX_BACKOFF_MS } from './memory.ts';
import type { GossipsubParts } from './parts.ts';

/**
 * Of all topics: more than a node has neighbours. Those of connected peers are kept first, then those that end first,
 * as any peer may ask for long ones.
 */
const MAX_SAVED = 2000;
const MAX_FILE_BYTES = 1024 * 1024;

/** Topic, peer, end in Unix ms. */
type Backoff = [string, string, number];

export interface SavedBackoffsDependencies {
  readonly log: Logger;
  readonly clock: Pick<Clock, 'now'>;
  readonly backoffs: GossipsubParts['backoff'];
  readonly connectedPeers: () => Iterable<string>;
}

export class SavedBackoffs {
  private readonly deps: SavedBackoffsDependencies;
  private readonly file: string;
  private readonly topicNames: ReadonlySet<string>;
  private saved = '';
  private writing: Promise<void> = Promise.resolve();

  constructor(deps: SavedBackoffsDependencies, file: string, topicNames: readonly string[]) {
    this.deps = deps;
    this.file = file;
    this.topicNames = new Set(topicNames);
  }

  /** Before gossipsub starts. A file that cannot be read is logged and ignored. */
  async load(): Promise<void> {
    const { backoffs, clock, log } = this.deps;
    const map = backoffs as Map<string, Map<string, number>>;
    const nowMs = clock.now();
    try {
      for (const [topic, peerId, untilMs] of await this.read()) {
        if (untilMs <= nowMs || untilMs > nowMs + MAX_BACKOFF_MS || !this.topicNames.has(topic)) continue;
        const peers = map.get(topic) ?? new Map();
        map.set(topic, peers.set(peerId, untilMs));
      }
    } catch (error) {
      log.warn({ file: this.file, err: error }, 'failed to read gossip back-offs');
    }
  }

  /** Writes the file as a whole and swaps it in, if something changed. Failures are logged. */
  save(): Promise<void> {
    this.writing = this.writing.then(() => this.write(this.text()));
    return this.writing;
  }

  private async write(text: string): Promise<void> {
    if (text === this.saved) return;
    try {
      await writePrivateFile(this.file, text, { isDurable: false });
      this.saved = text;
    } catch (error) {
      this.deps.log.warn({ file: this.file, err: error }, 'failed to write gossip back-offs');
    }
  }

  private async read(): Promise<readonly Backoff[]> {
    let text: Buffer;
    try {
      text = await readFile(this.file);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'ENOENT') return [];
      throw error;
    }
    if (text.length > MAX_FILE_BYTES) throw new Error(`the file has ${text.length} bytes, at most ${MAX_FILE_BYTES}`);
    // Loaded by nodes that have such a file.
    const { z } = await import('zod');
    const fileSchema = z.object({
      version: z.literal(1),
      backoffs: z.array(z.tuple([z.string(), z.string(), z.number()])).max(MAX_SAVED),
    });
    return fileSchema.parse(JSON.parse(text.toString('utf8'))).backoffs;
  }

  private text(): string {
    const nowMs = this.deps.clock.now();
    const connected = new Set(this.deps.connectedPeers());
    const all = [...this.deps.backoffs].flatMap(([topic, peers]) =>
      [...peers].map(([peerId, untilMs]): Backoff => [topic, peerId, untilMs]),
    );
    const kept = all
      .filter(([, , untilMs]) => untilMs > nowMs)
      .sort(([, a, aMs], [, b, bMs]) => Number(connected.has(b)) - Number(connected.has(a)) || aMs - bMs)
      .slice(0, MAX_SAVED);
    return `${JSON.stringify({ version: 1, backoffs: kept })}\n`;
  }
}
