// The side of a node that `teranode-p2p devnet` started: it mines when it is told to, and ends with its parent.
import { rmdirSync, rmSync } from 'node:fs';
import { dirname } from 'node:path';
import { EmbeddedChain } from '../../adapters/embedded-chain/embedded-chain.ts';
import type { App } from '../../app/compose.ts';

/** In the environment of such a node: what becomes of its folder when the parent is gone. */
export const DEVNET_VARIABLE = 'TERANODE_P2P_DEVNET';
export type FolderFate = 'kept' | 'removed';

/** What the parent says. */
export interface MineOrder {
  readonly mine: number;
}

/** True in a node that a development network started. */
export function isDevnetNode(): boolean {
  return process.send !== undefined && process.env[DEVNET_VARIABLE] !== undefined;
}

/**
 * The channel to the parent closes when it dies, however it died: this process then stops as at SIGTERM. A stop has exit
 * code 0, whoever asked for it; standard error says who did, and the parent shows that when it was not the parent.
 */
export function endWithParent(dataFolder: string): void {
  let why: string | undefined;
  const stop = () => {
    why = 'the channel to the devnet command was closed';
    process.kill(process.pid, 'SIGTERM');
  };
  // Before the listener that may end the process at once.
  for (const name of ['SIGTERM', 'SIGINT'] as const)
    process.prependOnceListener(name, () => process.stderr.write(`stopped: ${why ?? name}\n`));
  process.once('exit', () => {
    if (process.connected || process.env[DEVNET_VARIABLE] !== ('removed' satisfies FolderFate)) return;
    rmSync(dataFolder, { recursive: true, force: true });
    try {
      rmdirSync(dirname(dataFolder));
    } catch {
      // Another node is still there; the last one removes it.
    }
  });
  process.once('disconnect', stop);
  if (!process.connected) stop();
}

/** Until the process ends. */
export function takeOrders({ blockchain, log }: App): void {
  process.on('message', ({ mine }: MineOrder) => {
    if (!(blockchain instanceof EmbeddedChain)) return;
    for (let i = 0; i < mine; i += 1) {
      const { height, hash } = blockchain.mine();
      log.info({ height, hash }, 'block mined on order');
    }
  });
  // The channel alone does not keep a process that has stopped.
  process.channel?.unref();
}
