// All patches of libp2p in one place. Each looks for the private parts that it needs before it changes anything,
// changes only objects of this node (never a class or a prototype, which other users of the library in the process
// share), and is left out where a part is missing.

import type { Multiaddr } from '@multiformats/multiaddr';
import type { Clock } from '../../../ports/clock.ts';
import type { Metrics } from '../../../ports/metrics.ts';
import type { TeranodeLibp2p } from '../libp2p-options.ts';
import { AUTONAT_PATCH } from './autonat.ts';
import { SOCKET_PATCH } from './connection-socket.ts';
import { IDENTIFY_PATCH, setProtocolVersion } from './identify.ts';
import { boundDht, DHT_PATCH } from './kad-dht.ts';
import { boundPeerStore, PEER_STORE_PATCH } from './peer-store.ts';
import type { Patch, PatchReport } from './report.ts';
import { TLS_PATCH } from './tls-patch.ts';
import { YAMUX_PATCH } from './yamux.ts';

/** Every patch outside of gossipsub's own folder. */
export const PATCHES: readonly Patch[] = [
  PEER_STORE_PATCH,
  DHT_PATCH,
  YAMUX_PATCH,
  TLS_PATCH,
  SOCKET_PATCH,
  IDENTIFY_PATCH,
  AUTONAT_PATCH,
];

export interface PatchDependencies {
  readonly metrics: Metrics;
  readonly clock: Clock;
  readonly report: PatchReport;
  /** Addresses that the peer store does not keep. */
  readonly refusesAddress?: ((address: Multiaddr) => boolean) | undefined;
}

/** Patches a node that is built and not started. Never throws. `protocolVersion`: that of the options. */
export function applyPatches(
  libp2p: Pick<TeranodeLibp2p, 'peerStore' | 'services'>,
  deps: PatchDependencies,
  protocolVersion: string | undefined,
): void {
  const { services } = libp2p;
  boundPeerStore(libp2p, deps);
  if (services.dht !== undefined) boundDht(services.dht, deps);
  if (protocolVersion !== undefined) setProtocolVersion(services, protocolVersion, deps.report);
}
