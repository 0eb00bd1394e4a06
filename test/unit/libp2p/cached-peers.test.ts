// How often the peer store is read and the cache updated.
import { beforeEach, expect, test } from 'vitest';
import { CachedPeers } from '../../../src/adapters/libp2p/discovery/cached-peers.ts';
import type { PeerId } from '../../../src/domain/ids.ts';
import type { PeerRecord } from '../../../src/ports/p2p-node.ts';
import { peer } from '../../fakes/ban-parts.ts';
import { recordingLogger } from '../../fakes/recorders.ts';

const DIALLED = '/ip4/192.0.2.1/tcp/9905';
const LISTENING = '/ip4/192.0.2.1/tcp/9906';

const connected = new Map<PeerId, Pick<PeerRecord, 'direction' | 'addresses'>>();
let reads: PeerId[] = [];
let calls: unknown[] = [];
let cachedPeers: CachedPeers;

beforeEach(() => {
  connected.clear();
  reads = [];
  calls = [];
  cachedPeers = new CachedPeers({
    log: recordingLogger(),
    cache: {
      load: async () => [],
      seen: (id, addresses) => calls.push(['seen', id, addresses]),
      disconnected: (id) => calls.push(['disconnected', id]),
      save: async () => {
        calls.push('save');
      },
      saveLast: async () => {
        calls.push('save last');
      },
    },
    connectedRecord: (id) => connected.get(id) as PeerRecord | undefined,
    listenAddresses: async (id) => {
      reads.push(id);
      return [LISTENING];
    },
  });
});

function connect(id: PeerId, direction: 'inbound' | 'outbound'): void {
  connected.set(id, { direction, addresses: [DIALLED] });
  cachedPeers.peerChanged(id);
}

test('the address that was dialled and those that the peer listens on are kept; the port of an inbound one is not', async () => {
  connect(peer(1), 'outbound');
  connect(peer(2), 'inbound');
  await cachedPeers.save();
  expect(calls).toEqual([['seen', peer(1), [DIALLED, LISTENING]], ['seen', peer(2), [LISTENING]], 'save']);
});

test('a peer is read once when it changed, and not again while nothing changes', async () => {
  connect(peer(1), 'outbound');
  cachedPeers.peerChanged(peer(1));
  for (let i = 0; i < 10; i += 1) await cachedPeers.save();
  expect(reads).toEqual([peer(1)]);
  cachedPeers.peerChanged(peer(1));
  await cachedPeers.save();
  expect(reads).toEqual([peer(1), peer(1)]);
});

test('peers that are not connected are never read', async () => {
  cachedPeers.peerChanged(peer(1));
  connect(peer(2), 'outbound');
  connected.delete(peer(2));
  cachedPeers.peerDisconnected(peer(2));
  await cachedPeers.save();
  expect(reads).toEqual([]);
  expect(calls).toEqual([['disconnected', peer(2)], 'save']);
});

test('a peer that disconnects while its addresses are read is not noted as connected', async () => {
  connect(peer(1), 'outbound');
  const saving = cachedPeers.save();
  connected.delete(peer(1));
  cachedPeers.peerDisconnected(peer(1));
  await saving;
  expect(calls).toEqual([['disconnected', peer(1)], 'save']);
});

test('a stop reads what changed and writes once more', async () => {
  connect(peer(1), 'outbound');
  await cachedPeers.stop();
  expect(calls).toEqual([['seen', peer(1), [DIALLED, LISTENING]], 'save last']);
});
