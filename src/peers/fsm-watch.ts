// The state of the node's state machine as last heard, so that guards need not ask: by notification, and by asking now and then, because a
// notification can be lost with a connection.
import type { BlockchainClient, FsmState } from '../ports/blockchain-client.ts';
import type { Logger } from '../ports/log.ts';
import { type Repeating, repeating } from '../repeating.ts';

const ASK_INTERVAL_MS = 5000;

export class FsmWatch {
  private readonly deps: { readonly blockchain: BlockchainClient; readonly log: Logger };
  private last: FsmState | undefined;
  private loop: Repeating | undefined;
  private unsubscribe: (() => void) | undefined;

  constructor(deps: { readonly blockchain: BlockchainClient; readonly log: Logger }) {
    this.deps = deps;
  }

  async start(): Promise<void> {
    const { blockchain, log } = this.deps;
    this.unsubscribe = blockchain.subscribe('p2p state', (notification) => {
      if (notification.type === 'fsm_state') this.last = notification.state;
    });
    this.last = await blockchain.fsmState();
    const times = { firstMs: ASK_INTERVAL_MS, nextMs: () => ASK_INTERVAL_MS };
    const ask = async () => {
      this.last = await blockchain.fsmState();
    };
    this.loop = repeating(ask, times, (error) => log.debug({ err: error }, 'state machine not asked'));
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
}
