// Peers of another network: cut each time they come, and told to the operator once in a while, since whoever lists us dials again.
import { LRUCache } from 'lru-cache';
import type { PeerId } from '../domain/ids.ts';
import type { Clock } from '../ports/clock.ts';
import type { Logger } from '../ports/log.ts';
import type { P2PNode } from '../ports/p2p-node.ts';
import type { Tally } from './tally.ts';

const MAX_REMEMBERED = 1000;
/** Between two lines of one peer. */
const SILENT_MS = 10 * 60_000;
/** A prefix is cut to this in logs. */
const MAX_LOGGED_CHARS = 64;

export interface RefusalsDependencies {
  readonly node: Pick<P2PNode, 'disconnectPeer'>;
  readonly isConnected: (peerId: PeerId) => boolean;
  readonly tally: Tally;
  readonly clock: Clock;
  readonly log: Logger;
}

interface Refused {
  readonly loggedMs: number;
  /** Since that line. */
  times: number;
}

export class Refusals {
  private readonly deps: RefusalsDependencies;
  private readonly refused = new LRUCache<PeerId, Refused>({ max: MAX_REMEMBERED });

  constructor(deps: RefusalsDependencies) {
    this.deps = deps;
    deps.tally.bounded('refusals', MAX_REMEMBERED, () => this.refused.size);
  }

  /** Go ignores such a peer and keeps it; the specification says reject. A stranger's message concerns nobody. */
  refuse(peerId: PeerId, topicPrefix: string): void {
    if (!this.deps.isConnected(peerId)) return;
    this.tell(peerId, topicPrefix);
    this.deps.node.disconnectPeer(peerId).catch((error: unknown) => {
      this.deps.log.warn({ peerId, err: error }, 'peer of another network not disconnected');
    });
  }

  private tell(peerId: PeerId, topicPrefix: string): void {
    const nowMs = this.deps.clock.monotonic();
    const before = this.refused.get(peerId);
    if (before !== undefined && nowMs - before.loggedMs < SILENT_MS) {
      before.times += 1;
      return;
    }
    this.refused.set(peerId, { loggedMs: nowMs, times: 0 });
    const fields = { peerId, topicPrefix: topicPrefix.slice(0, MAX_LOGGED_CHARS), unloggedBefore: before?.times ?? 0 };
    this.deps.log.info(fields, 'peer of another network disconnected');
  }
}
