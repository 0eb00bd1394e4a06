// Clients of the reference service's peer registry for tests, stopped after each test.
import { onTestFinished } from 'vitest';
import { type PeerRegistryTimes, ServicePeerRegistry } from '../../src/adapters/services/peer-registry.ts';
import { RegistryHistories } from '../../src/adapters/services/peer-registry-histories.ts';
import { systemClock } from '../../src/ports/clock.ts';
import type { PeerHistories } from '../../src/ports/peer-histories.ts';
import { unstoredHistories } from '../fakes/unstored-histories.ts';
import { freshParts, QUICK } from './rpc-clients.ts';

/** Shorter than in service. */
const TIMES: PeerRegistryTimes = { pollMs: 20, refreshMs: 50, askAgainMs: 100 };
export const PENALTY_MS = 3_600_000;

export async function startRegistry(address: string, times: Partial<PeerRegistryTimes> = {}) {
  const parts = freshParts();
  const registry = new ServicePeerRegistry(parts, { ...QUICK, address }, { ...TIMES, ...times });
  onTestFinished(() => registry.stop());
  await registry.start(new AbortController().signal);
  return { registry, ...parts };
}

export async function startHistories(
  address: string,
  {
    own = unstoredHistories(systemClock),
    times = {},
  }: { own?: PeerHistories; times?: Partial<PeerRegistryTimes> } = {},
) {
  const started = await startRegistry(address, times);
  const histories = new RegistryHistories({ ...started, own }, { fullStoragePenaltyMs: PENALTY_MS });
  return { ...started, histories, own };
}
