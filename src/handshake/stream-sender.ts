// Our messages on new direct streams: a few at a time, each with its deadline, so that peers that do not answer hold up nobody for long.
import { BoundedQueue } from '../bounded-queue.ts';
import type { Logger } from '../ports/log.ts';
import type { P2PNode } from '../ports/p2p-node.ts';
import type { PeerId } from '../wire/ids.ts';
import type { Tally } from './tally.ts';

/** A stream to a peer that answers takes a round trip; one that is stuck holds its place for the whole deadline. */
const MAX_AT_ONCE = 64;
/** More than the peers that a node of default settings ever has. */
const MAX_WAITING = 2000;
const SEND_DEADLINE_MS = 5000;
const STOP_DEADLINE_MS = 500;

type Delivery = 'sent' | 'failed' | 'dropped';

interface Job {
  readonly peerId: PeerId;
  readonly bytes: () => Promise<Uint8Array>;
  readonly done: (delivery: Delivery) => void;
}

export interface StreamSenderDependencies {
  readonly node: Pick<P2PNode, 'sendToPeer'>;
  readonly tally: Tally;
  readonly log: Logger;
}

export class StreamSender {
  private readonly deps: StreamSenderDependencies;
  private readonly waiting = new BoundedQueue<Job>({ maxItems: MAX_WAITING, onDrop: ({ done }) => done('dropped') });
  private readonly inHand = new Set<Promise<void>>();
  private stopped = false;

  constructor(deps: StreamSenderDependencies) {
    this.deps = deps;
    deps.tally.bounded('sends', MAX_WAITING, () => this.waiting.length);
  }

  /** `bytes` is asked for when its turn has come. Never rejects; `dropped` when too many wait, and after stop. */
  send(peerId: PeerId, bytes: () => Promise<Uint8Array>): Promise<Delivery> {
    if (this.stopped) return Promise.resolve('dropped');
    const { promise, resolve } = Promise.withResolvers<Delivery>();
    this.waiting.push({ peerId, bytes, done: resolve });
    this.next();
    return promise;
  }

  /** Drops what waits and gives what is under way a moment. */
  async stop(): Promise<void> {
    this.stopped = true;
    for (let job = this.waiting.shift(); job !== undefined; job = this.waiting.shift()) job.done('dropped');
    if (this.inHand.size === 0) return;
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<void>((resolve) => {
      timer = setTimeout(resolve, STOP_DEADLINE_MS);
    });
    await Promise.race([Promise.all(this.inHand), late]);
    clearTimeout(timer);
  }

  private next(): void {
    while (this.inHand.size < MAX_AT_ONCE) {
      const job = this.waiting.shift();
      if (job === undefined) return;
      const work = this.run(job).finally(() => {
        this.inHand.delete(work);
        this.next();
      });
      this.inHand.add(work);
    }
  }

  private async run({ peerId, bytes, done }: Job): Promise<void> {
    try {
      await this.deps.node.sendToPeer(peerId, await bytes(), SEND_DEADLINE_MS);
      done('sent');
    } catch (error) {
      this.deps.log.debug({ peerId, err: error }, 'handshake not handed over');
      done('failed');
    }
  }
}
