// Our messages on new direct streams, each with its deadline; whose turn it is stands in the send queue.

import type { PeerId } from '../domain/ids.ts';
import type { Clock } from '../ports/clock.ts';
import type { Logger } from '../ports/log.ts';
import type { P2PNode } from '../ports/p2p-node.ts';
import { MAX_SLOW_PEERS, MAX_WAITING, type Pace, SendQueue } from './send-queue.ts';
import type { Tally } from './tally.ts';

/** A stream to a peer that answers takes a round trip or two; one that is stuck holds its place for the whole deadline. */
const SEND_DEADLINE_MS = 5000;
/** Whoever takes this long, with whatever outcome, has kept us waiting. */
const SLOW_MS = 2000;
const STOP_DEADLINE_MS = 500;

type Delivery = 'sent' | 'failed' | 'dropped' | 'not_connected';

interface Job {
  readonly bytes: () => Promise<Uint8Array>;
  readonly done: (delivery: Delivery) => void;
}

export interface StreamSenderDependencies {
  readonly node: Pick<P2PNode, 'sendToPeer'>;
  readonly isConnected: (peerId: PeerId) => boolean;
  readonly tally: Tally;
  readonly clock: Clock;
  readonly log: Logger;
}

export class StreamSender {
  private readonly deps: StreamSenderDependencies;
  private readonly queue = new SendQueue<Job>(({ done }) => done('dropped'));
  private readonly inHand = new Set<Promise<void>>();
  /** Until somebody has rested. */
  private timer: NodeJS.Timeout | undefined;
  private stopped = false;

  constructor(deps: StreamSenderDependencies) {
    this.deps = deps;
    deps.tally.bounded('sends', MAX_WAITING, () => this.queue.length);
    deps.tally.bounded('slow_peers', MAX_SLOW_PEERS, () => this.queue.slowPeers);
  }

  /**
   * `bytes` is asked for when its turn has come. Never rejects; `dropped` when too many wait, and after stop; nobody is dialled for a message
   * (`not_connected`).
   */
  send(peerId: PeerId, bytes: () => Promise<Uint8Array>): Promise<Delivery> {
    if (this.stopped) return Promise.resolve('dropped');
    const { promise, resolve } = Promise.withResolvers<Delivery>();
    this.queue.push(peerId, { bytes, done: resolve });
    this.next();
    return promise;
  }

  /** Drops what waits and gives what is under way a moment. */
  async stop(): Promise<void> {
    this.stopped = true;
    clearTimeout(this.timer);
    this.queue.clear();
    if (this.inHand.size === 0) return;
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<void>((resolve) => {
      timer = setTimeout(resolve, STOP_DEADLINE_MS);
    });
    await Promise.race([Promise.all(this.inHand), late]);
    clearTimeout(timer);
  }

  private next(): void {
    if (this.stopped) return;
    const nowMs = this.deps.clock.monotonic();
    for (let turn = this.queue.take(nowMs); turn !== undefined; turn = this.queue.take(nowMs)) this.begin(turn);
    clearTimeout(this.timer);
    const restMs = this.queue.restMs(nowMs);
    if (restMs !== undefined) this.timer = setTimeout(() => this.next(), restMs).unref();
  }

  private begin({ peerId, job }: { readonly peerId: PeerId; readonly job: Job }): void {
    const work = this.run(peerId, job).then((pace) => {
      this.inHand.delete(work);
      this.queue.ended(peerId, pace, this.deps.clock.monotonic());
      this.next();
    });
    this.inHand.add(work);
  }

  private async run(peerId: PeerId, { bytes, done }: Job): Promise<Pace> {
    const { node, isConnected, clock, log } = this.deps;
    // What we ourselves take to know what to say is not the peer's.
    let startedMs: number | undefined;
    try {
      const message = await bytes();
      if (isConnected(peerId)) {
        startedMs = clock.monotonic();
        await node.sendToPeer(peerId, message, SEND_DEADLINE_MS);
        done('sent');
      } else done('not_connected');
    } catch (error) {
      log.debug({ peerId, err: error }, 'handshake not handed over');
      done('failed');
    }
    if (startedMs === undefined) return 'untried';
    return clock.monotonic() - startedMs >= SLOW_MS ? 'slow' : 'quick';
  }
}
