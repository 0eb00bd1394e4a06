// Set-up for tests of bans: valid peer IDs, and the parts around a store.
import { BanList, type BanListOptions } from '../../src/bans/list/ban-list.ts';
import { StoreLink } from '../../src/bans/store/store-link.ts';
import type { PeerId } from '../../src/domain/ids.ts';
import { peerIdFromPublicKey } from '../../src/wire/peer-id.ts';
import { FlakyBanStore } from './flaky-ban-store.ts';
import { ListByText } from './list-by-text.ts';
import { FakeClock, RecordedMetrics, recordingLogger } from './recorders.ts';

const PUBLIC_KEY_PREFIX = [0x08, 0x01, 0x12, 0x20];

/** The nth of many valid Ed25519 peer ids. */
export function peer(n: number): PeerId {
  const key = new Uint8Array(36);
  key.set(PUBLIC_KEY_PREFIX);
  new DataView(key.buffer).setUint32(32, n + 1);
  return peerIdFromPublicKey(key) as PeerId;
}

export function banParts(store = new FlakyBanStore(), clock = new FakeClock()) {
  const log = recordingLogger();
  const metrics = new RecordedMetrics();
  const link = new StoreLink({ store, clock, log, metrics });
  return { store, clock, log, metrics, link };
}

export const DAY_MS = 24 * 3_600_000;

/** A list with its link open. */
export async function openList(options: Partial<BanListOptions> = {}, parts = banParts()) {
  const made = new BanList(parts, { defaultDurationMs: DAY_MS, maxEntries: 1000, ...options });
  const list = new ListByText(made, parts.link);
  await parts.link.open(AbortSignal.timeout(5000));
  await list.init();
  parts.link.startReading();
  return { ...parts, list };
}
