// Limits what a peer can say about itself, and others about it, in libp2p's peer store. The store compares every
// address with every other on each new stream: ten thousand, which one DHT message holds, block it for over a minute.
// Written for libp2p 3.3.11. Can go when the store has limits.
import type { Address, PeerId as LibPeerId, Libp2p, PeerData, PeerStore } from '@libp2p/interface';
import type { Multiaddr } from '@multiformats/multiaddr';
import type { Counter, Metrics } from '../../../ports/metrics.ts';
import { missingFunctions, type Patch, type PatchReport } from './report.ts';

export const PEER_STORE_PATCH: Patch = {
  library: 'libp2p',
  version: '3.3.11',
  effect: 'a peer can store any number of addresses and protocols',
};

/** Enough for a machine with several networks, relays and names. */
export const MAX_ADDRESSES = 64;
/** Three times as many as a node of the network has. */
export const MAX_PROTOCOLS = 100;
const MAX_PROTOCOL_CHARS = 256;

export interface PeerStorePatchDependencies {
  readonly metrics: Metrics;
  readonly report: PatchReport;
  /** Whether an address is not stored at all. Default: none is refused. */
  readonly refusesAddress?: ((address: Multiaddr) => boolean) | undefined;
}

/** libp2p's own parts call the same object, so wrapping its methods bounds what they store too. */
export function boundPeerStore(
  { peerStore }: Pick<Libp2p, 'peerStore'>,
  { metrics, report, refusesAddress }: PeerStorePatchDependencies,
): void {
  const cut = metrics.counter(
    'teranode_p2p_peer_fields_cut_total',
    'Addresses and protocols of peers not stored: too many of one peer, or private addresses where these are refused',
    ['field'],
  );
  const bounded = (data: PeerData) => within(withoutRefused(data, refusesAddress, cut), cut);
  const { save, patch, merge } = peerStore;
  const missing = missingFunctions({ save, patch, merge });
  if (missing !== undefined) {
    report.notApplied(PEER_STORE_PATCH, `peerStore: ${missing}`);
    return;
  }
  peerStore.save = (id, data, options) => save.call(peerStore, id, bounded(data), options);
  peerStore.patch = (id, data, options) => patch.call(peerStore, id, bounded(data), options);
  peerStore.merge = async (id, data, options) => {
    const added = bounded(data);
    const addresses = addressesOf(added);
    if (addresses.length > 0) {
      const all = await combined(peerStore, id, addresses);
      // Merging would exceed the limit: write known and new addresses together, cut to it.
      if (all.length > MAX_ADDRESSES) {
        cut.add(all.length - MAX_ADDRESSES, { field: 'addresses' });
        await patch.call(peerStore, id, { addresses: all.slice(0, MAX_ADDRESSES) }, options);
        return merge.call(peerStore, id, { ...added, addresses: [], multiaddrs: [] }, options);
      }
    }
    return merge.call(peerStore, id, added, options);
  };
}

/** What is never dialled is not passed on to other peers or kept across restarts either. */
function withoutRefused(
  data: PeerData,
  refusesAddress: PeerStorePatchDependencies['refusesAddress'],
  cut: Counter,
): PeerData {
  if (refusesAddress === undefined) return data;
  const isAllowed = (address: Multiaddr): boolean => {
    const isRefused = refusesAddress(address);
    if (isRefused) cut.add(1, { field: 'private_addresses' });
    return !isRefused;
  };
  const { addresses, multiaddrs } = data;
  return {
    ...data,
    ...(addresses && { addresses: addresses.filter(({ multiaddr }) => isAllowed(multiaddr)) }),
    ...(multiaddrs && { multiaddrs: multiaddrs.filter(isAllowed) }),
  };
}

function within(data: PeerData, cut: Counter): PeerData {
  const { addresses, multiaddrs, protocols } = data;
  const room = MAX_ADDRESSES - Math.min(addresses?.length ?? 0, MAX_ADDRESSES);
  return {
    ...data,
    ...(addresses && { addresses: first(addresses, MAX_ADDRESSES, 'addresses', cut) }),
    ...(multiaddrs && { multiaddrs: first(multiaddrs, room, 'addresses', cut) }),
    ...(protocols && {
      protocols: first(
        protocols.filter((name) => name.length <= MAX_PROTOCOL_CHARS),
        MAX_PROTOCOLS,
        'protocols',
        cut,
      ),
    }),
  };
}

function first<T>(all: T[], count: number, field: string, cut: Counter): T[] {
  if (all.length <= count) return all;
  cut.add(all.length - count, { field });
  return all.slice(0, count);
}

function addressesOf({ addresses = [], multiaddrs = [] }: PeerData): Address[] {
  const plain = (multiaddr: Multiaddr) => ({ multiaddr, isCertified: false });
  return [...addresses, ...multiaddrs.map(plain)];
}

/** Addresses that the peer signed come first, then new ones, then the rest. */
async function combined(peerStore: PeerStore, id: LibPeerId, added: readonly Address[]): Promise<Address[]> {
  const known = (await peerStore.has(id)) ? (await peerStore.get(id)).addresses : [];
  const all = [
    ...known.filter(({ isCertified }) => isCertified),
    ...added,
    ...known.filter(({ isCertified }) => !isCertified),
  ];
  return [...new Map(all.reverse().map((each) => [each.multiaddr.toString(), each])).values()].reverse();
}
