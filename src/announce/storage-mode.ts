// Whether this node keeps all blocks, as it says in its status: the height up to which the block persister has written
// them, which it leaves in the state store of the blockchain service.
import type { Storage } from '../domain/node-status.ts';
import { withDeadline } from '../lib/deadline.ts';
import { singleFlight } from '../lib/single-flight.ts';
import type { BlockchainClient } from '../ports/blockchain-client.ts';
import type { Clock } from '../ports/clock.ts';
import type { Logger } from '../ports/log.ts';

export interface StorageModeDependencies {
  readonly blockchain: Pick<BlockchainClient, 'getState'>;
  readonly clock: Clock;
  readonly log: Logger;
}

/** Key of Teranode's block persister; the value is a uint32 in little-endian order. */
const STATE_KEY = 'BlockPersisterHeight';
const HEIGHT_BYTES = 4;
const READ_INTERVAL_MS = 10_000;
const DEADLINE_MS = 2000;

export class StorageMode {
  private readonly deps: StorageModeDependencies;
  private readonly retention: number;
  private readonly read: () => Promise<Uint8Array | undefined>;
  private readMs = Number.NEGATIVE_INFINITY;
  /** undefined before the first successful read; 0 without a persister. */
  private persistedHeight: number | undefined;

  /** `retention`: `global_blockHeightRetention`, how far the persister may be behind. */
  constructor(deps: StorageModeDependencies, retention: number) {
    this.deps = deps;
    this.retention = retention;
    this.read = singleFlight(() => deps.blockchain.getState(STATE_KEY));
  }

  /** Reads the state at most every 10 s; when that fails, the last known one counts. undefined before the first. */
  async at(bestHeight: number): Promise<Storage | undefined> {
    const { clock, log } = this.deps;
    if (clock.monotonic() - this.readMs >= READ_INTERVAL_MS) {
      this.readMs = clock.monotonic();
      try {
        this.persistedHeight = heightOf(await withDeadline(this.read(), DEADLINE_MS));
      } catch (error) {
        log.debug({ err: error }, 'failed to read the height of the block persister');
      }
    }
    const { persistedHeight } = this;
    if (persistedHeight === undefined) return undefined;
    return persistedHeight > 0 && bestHeight - persistedHeight <= this.retention ? 'full' : 'pruned';
  }
}

function heightOf(state: Uint8Array | undefined): number {
  if (state === undefined || state.byteLength < HEIGHT_BYTES) return 0;
  return new DataView(state.buffer, state.byteOffset).getUint32(0, true);
}
