// The state of the node's state machine as last heard, so that guards need not ask: by notification, and by asking now and then, because a
// notification can be lost with a connection.

import { type Repeating, repeating } from '../lib/repeating.ts';
import type { BlockchainClient, FsmState } from '../ports/blockchain-client.ts';
import type { Logger } from '../ports/log.ts';
import type { Metrics } from '../ports/metrics.ts';

const ASK_INTERVAL_MS = 5000;
const FSM_STATES: readonly FsmState[] = ['IDLE', 'RUNNING', 'CATCHINGBLOCKS', 'LEGACYSYNCING'];

export interface FsmWatchDependencies {
  readonly blockchain: BlockchainClient;
  readonly log: Logger;
  readonly metrics: Metrics;
}

export class FsmWatch {
  private readonly deps: FsmWatchDependencies;
  private last: FsmState | undefined;
  private notifications = 0;
  private loop: Repeating | undefined;
  private unsubscribe: (() => void) | undefined;

  constructor(deps: FsmWatchDependencies) {
    this.deps = deps;
    for (const state of FSM_STATES)
      deps.metrics.gauge(
        'teranode_p2p_fsm_state',
        '1 for the state of the state machine as last heard',
        () => (this.last === state ? 1 : 0),
        { state },
      );
  }

  async start(): Promise<void> {
    const { blockchain, log } = this.deps;
    this.unsubscribe = blockchain.subscribe('p2p state', (notification) => {
      if (notification.type !== 'fsm_state') return;
      this.notifications += 1;
      this.last = notification.state;
    });
    await this.ask();
    const times = { firstMs: ASK_INTERVAL_MS, nextMs: () => ASK_INTERVAL_MS };
    this.loop = repeating(
      () => this.ask(),
      times,
      (error) => log.debug({ err: error }, 'state machine not asked'),
    );
  }

  async stop(): Promise<void> {
    this.loop?.stop();
    this.unsubscribe?.();
  }

  /** undefined before the first answer. */
  state(): FsmState | undefined {
    return this.last;
  }

  /** CATCHINGBLOCKS or LEGACYSYNCING: the node is busy with blocks of the past. */
  isSyncing(): boolean {
    return this.last === 'CATCHINGBLOCKS' || this.last === 'LEGACYSYNCING';
  }

  private async ask(): Promise<void> {
    const before = this.notifications;
    const answer = await this.deps.blockchain.fsmState();
    // A notification that came meanwhile is newer than the answer.
    if (before === this.notifications) this.last = answer;
  }
}
