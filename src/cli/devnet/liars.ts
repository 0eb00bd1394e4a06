// The liars of a development network: peers in this process that announce invalid blocks until all nodes ban them.
import { P2PError } from '../../lib/errors.ts';
import type { Liar, LiarOptions } from './liar.ts';
import { MAX_LIARS } from './links.ts';

interface Entry {
  readonly liar: number;
  readonly peer: Liar;
  isRunning: boolean;
}

export class Liars {
  private readonly onChange: (liar: number, peerId: string, state: 'started' | 'stopped') => void;
  private readonly entries: Entry[] = [];
  private asked = 0;
  private isStopping = false;

  constructor(onChange: Liars['onChange']) {
    this.onChange = onChange;
  }

  /** `optionsOf`: of the nth, from 1. Throws NOT_DONE when there were too many. */
  async add(optionsOf: (nth: number) => Promise<LiarOptions>): Promise<{ liar: number; peerId: string }> {
    const nth = this.asked + 1;
    if (nth > MAX_LIARS)
      throw new P2PError('NOT_DONE', `there were ${MAX_LIARS} liars, and no more fit in this network`);
    this.asked = nth;
    const options = await optionsOf(nth);
    // With all of libp2p, which the command else does without.
    const { Liar } = await import('./liar.ts');
    const peer = await Liar.start(options);
    const { peerId } = peer;
    const entry = { liar: nth, peer, isRunning: true };
    this.entries.push(entry);
    this.onChange(nth, peerId, 'started');
    void peer
      .lie()
      .catch(() => {})
      .then(() => {
        entry.isRunning = false;
        if (!this.isStopping) this.onChange(nth, peerId, 'stopped');
      });
    return { liar: nth, peerId };
  }

  state() {
    return this.entries.map(({ liar, peer: { peerId }, isRunning }) => ({ liar, peerId, isRunning }));
  }

  async stop(): Promise<void> {
    this.isStopping = true;
    await Promise.all(this.entries.map(({ peer }) => peer.stop().catch(() => {})));
  }
}
