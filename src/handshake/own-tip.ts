// The tip of our own chain as the handshake tells it: however many peers come at once, the blockchain service is asked
// a few times a second.

import { withDeadline } from '../lib/deadline.ts';
import type { Clock } from '../ports/clock.ts';
import type { Logger } from '../ports/log.ts';
import type { ChainTip } from './answer.ts';

/** A block more or less within this time makes no difference to who reads it. */
const KEEP_MS = 250;
/** The blockchain client retries for longer; a peer is told what was known last instead. */
const ASK_DEADLINE_MS = 2000;
/** As Go says it when its chain does not answer. */
const UNKNOWN: ChainTip = { height: 0, hash: undefined };

export interface OwnTipDependencies {
  readonly bestHeader: () => Promise<ChainTip>;
  readonly clock: Clock;
  readonly log: Logger;
}

export class OwnTip {
  private readonly deps: OwnTipDependencies;
  private known: ChainTip | undefined;
  private knownMs = Number.NEGATIVE_INFINITY;
  private asking: Promise<ChainTip | undefined> | undefined;

  constructor(deps: OwnTipDependencies) {
    this.deps = deps;
  }

  /** For a message of ours: the tip, else what was known last, else none. */
  async told(): Promise<ChainTip> {
    return (await this.latest()) ?? UNKNOWN;
  }

  /** The tip, else what was known last; undefined when nothing is known. Never rejects. */
  latest(): Promise<ChainTip | undefined> {
    if (this.known !== undefined && this.deps.clock.monotonic() - this.knownMs < KEEP_MS)
      return Promise.resolve(this.known);
    this.asking ??= this.ask().finally(() => {
      this.asking = undefined;
    });
    return this.asking;
  }

  private async ask(): Promise<ChainTip | undefined> {
    try {
      const { height, hash } = await withDeadline(this.deps.bestHeader(), ASK_DEADLINE_MS);
      this.known = { height, hash };
      this.knownMs = this.deps.clock.monotonic();
    } catch (error) {
      this.deps.log.debug({ err: error }, 'own tip not known to the handshake');
    }
    return this.known;
  }
}
