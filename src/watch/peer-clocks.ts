// The clocks of peers against the clock of this machine, from the node statuses that they send: for operators, as a
// clock that is wrong makes a node ignore what it hears. A status says since when its node runs and for how long; the
// sum is the time of its author.
import { LRUCache } from 'lru-cache';
import type { NodeStatusMessage } from '../domain/node-status.ts';
import type { Clock } from '../ports/clock.ts';

/** Authors that are remembered; the one heard longest ago is evicted first. */
export const MAX_PEER_CLOCKS = 50;

type Times = Pick<NodeStatusMessage, 'peerId' | 'startTime' | 'uptime'>;

export class PeerClocks {
  private readonly clock: Pick<Clock, 'now'>;
  private readonly byPeer = new LRUCache<string, number>({ max: MAX_PEER_CLOCKS });

  constructor(clock: Pick<Clock, 'now'>) {
    this.clock = clock;
  }

  /** A status that says neither counts for nothing. */
  heard({ peerId, startTime, uptime }: Times): void {
    if (startTime <= 0n || !(uptime > 0)) return;
    this.byPeer.set(peerId, Math.round(Number(startTime) * 1000 + uptime * 1000 - this.clock.now()));
  }

  /** In ms, one for each peer: positive when its clock is ahead of this machine's. */
  offsetsMs(): readonly number[] {
    return [...this.byPeer.values()];
  }
}
