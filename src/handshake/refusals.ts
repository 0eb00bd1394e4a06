// Peers of another network are disconnected each time they connect, and logged only now and then: a peer that lists us
// dials again and again.
import { LRUCache } from 'lru-cache';
import type { PeerId } from '../domain/ids.ts';
import type { Clock } from '../ports/clock.ts';
import type { Logger } from '../ports/log.ts';
import type { P2PNode } from '../ports/p2p-node.ts';
import type { HandshakeCounters } from './counters.ts';

const MAX_REMEMBERED = 1000;
/** Time between two log lines about one peer. */
const SILENT_MS = 10 * 60_000;
/** Length to which a prefix is cut in logs. */
const MAX_LOGGED_CHARS = 64;

export interface RefusalsDependencies {
  readonly node: Pick<P2PNode, 'disconnectPeer'>;
  readonly isConnected: (peerId: PeerId) => boolean;
  readonly counters: HandshakeCounters;
  readonly clock: Clock;
  readonly log: Logger;
}

interface Refused {
  readonly loggedMs: number;
  /** Disconnections since that log line. */
  times: number;
}

export class Refusals {
  private readonly deps: RefusalsDependencies;
  private readonly refused = new LRUCache<PeerId, Refused>({ max: MAX_REMEMBERED });

  constructor(deps: RefusalsDependencies) {
    this.deps = deps;
    deps.counters.bounded('refusals', MAX_REMEMBERED, () => this.refused.size);
  }

  /**
   * Disconnects the peer. Go ignores its message and keeps the connection; the specification says reject. Unconnected
   * authors are ignored.
   */
  refuse(peerId: PeerId, topicPrefix: string): void {
    if (!this.deps.isConnected(peerId)) return;
    this.log(peerId, topicPrefix);
    this.deps.node.disconnectPeer(peerId).catch((error: unknown) => {
      this.deps.log.warn({ peerId, err: error }, 'failed to disconnect peer of another network');
    });
  }

  private log(peerId: PeerId, topicPrefix: string): void {
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
