// Sends our handshake messages on new direct streams, each with a deadline, in the order that the send queue decides.

import type { PeerId } from '../domain/ids.ts';
import { settledWithin } from '../lib/deadline.ts';
import type { Clock } from '../ports/clock.ts';
import type { Logger } from '../ports/log.ts';
import type { P2PNode } from '../ports/p2p-node.ts';
import type { HandshakeCounters } from './counters.ts';
import { MAX_SLOW_PEERS, MAX_WAITING, type Pace, SendQueue } from './send-queue.ts';

/** A stream to a responsive peer takes a round trip or two; a stuck one holds its slot for the whole deadline. */
const SEND_DEADLINE_MS = 5000;
/** A peer that takes this long, with whatever outcome, is slow. */
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
  readonly counters: HandshakeCounters;
  readonly clock: Clock;
  readonly log: Logger;
}

export class StreamSender {
  private readonly deps: StreamSenderDependencies;
  private readonly queue = new SendQueue<Job>(({ done }) => done('dropped'));
  private readonly underWay = new Set<Promise<void>>();
  /** Runs until the next cool-down ends. */
  private timer: NodeJS.Timeout | undefined;
  private stopped = false;

  constructor(deps: StreamSenderDependencies) {
    this.deps = deps;
    deps.counters.bounded('sends', MAX_WAITING, () => this.queue.length);
    deps.counters.bounded('slow_peers', MAX_SLOW_PEERS, () => this.queue.slowPeers);
  }

  /**
   * `bytes` is called when the message is about to be sent. Never rejects. `dropped`: too many messages wait, or the
   * sender has stopped; `not_connected`: a peer is never dialled for a message.
   */
  send(peerId: PeerId, bytes: () => Promise<Uint8Array>): Promise<Delivery> {
    if (this.stopped) return Promise.resolve('dropped');
    const { promise, resolve } = Promise.withResolvers<Delivery>();
    this.queue.push(peerId, { bytes, done: resolve });
    this.next();
    return promise;
  }

  /** Drops waiting messages and gives those under way a moment. */
  async stop(): Promise<void> {
    this.stopped = true;
    clearTimeout(this.timer);
    this.queue.clear();
    await settledWithin(this.underWay, STOP_DEADLINE_MS);
  }

  private next(): void {
    if (this.stopped) return;
    const nowMs = this.deps.clock.monotonic();
    for (let turn = this.queue.take(nowMs); turn !== undefined; turn = this.queue.take(nowMs)) this.begin(turn);
    clearTimeout(this.timer);
    const waitMs = this.queue.coolDownMs(nowMs);
    if (waitMs !== undefined) this.timer = setTimeout(() => this.next(), waitMs).unref();
  }

  private begin({ peerId, job }: { readonly peerId: PeerId; readonly job: Job }): void {
    const work = this.run(peerId, job).then((pace) => {
      this.underWay.delete(work);
      this.queue.ended(peerId, pace, this.deps.clock.monotonic());
      this.next();
    });
    this.underWay.add(work);
  }

  private async run(peerId: PeerId, { bytes, done }: Job): Promise<Pace> {
    const { node, isConnected, clock, log } = this.deps;
    // The time that we need to build the message does not count against the peer.
    let startedMs: number | undefined;
    try {
      const message = await bytes();
      if (isConnected(peerId)) {
        startedMs = clock.monotonic();
        await node.sendToPeer(peerId, message, SEND_DEADLINE_MS);
        done('sent');
      } else done('not_connected');
    } catch (error) {
      log.debug({ peerId, err: error }, 'failed to send handshake');
      done('failed');
    }
    if (startedMs === undefined) return 'untried';
    return clock.monotonic() - startedMs >= SLOW_MS ? 'slow' : 'quick';
  }
}
