// What a peer may say of itself, and others of it, in libp2p's peer store. The store compares every address with every other, on each new stream: with some
// ten thousand, which one message of the DHT holds, it stands still for more than a minute.
import type { Address, PeerId as LibPeerId, Libp2p, PeerData, PeerStore } from '@libp2p/interface';
import type { Multiaddr } from '@multiformats/multiaddr';
import type { Counter, Metrics } from '../../../ports/metrics.ts';

/** A machine with several links, relays and names has as many. */
export const MAX_ADDRESSES = 64;
/** Three times those of a node of the network. */
export const MAX_PROTOCOLS = 100;
const MAX_PROTOCOL_CHARS = 256;

export function boundPeerStore({ peerStore }: Pick<Libp2p, 'peerStore'>, metrics: Metrics): void {
  const cut = metrics.counter('teranode_p2p_peer_fields_cut_total', 'Addresses and protocols of a peer left out', [
    'field',
  ]);
  const { save, patch, merge } = peerStore;
  peerStore.save = (id, data, options) => save.call(peerStore, id, bounded(data, cut), options);
  peerStore.patch = (id, data, options) => patch.call(peerStore, id, bounded(data, cut), options);
  peerStore.merge = async (id, data, options) => {
    const added = bounded(data, cut);
    const addresses = addressesOf(added);
    if (addresses.length > 0) {
      const all = await together(peerStore, id, addresses);
      // What is there already has no room besides what is new: both are written anew, within the bound.
      if (all.length > MAX_ADDRESSES) {
        cut.add(all.length - MAX_ADDRESSES, { field: 'addresses' });
        await patch.call(peerStore, id, { addresses: all.slice(0, MAX_ADDRESSES) }, options);
        return merge.call(peerStore, id, { ...added, addresses: [], multiaddrs: [] }, options);
      }
    }
    return merge.call(peerStore, id, added, options);
  };
}

function bounded(data: PeerData, cut: Counter): PeerData {
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

/** What the peer has signed stays before what is new, and that before the rest. */
async function together(peerStore: PeerStore, id: LibPeerId, added: readonly Address[]): Promise<Address[]> {
  const known = (await peerStore.has(id)) ? (await peerStore.get(id)).addresses : [];
  const all = [
    ...known.filter(({ isCertified }) => isCertified),
    ...added,
    ...known.filter(({ isCertified }) => !isCertified),
  ];
  return [...new Map(all.reverse().map((each) => [each.multiaddr.toString(), each])).values()].reverse();
}
