// The network as a node hears it, from what its registry knows of peers.
import { expect, test } from 'vitest';
import { networkView } from '../../../src/admin/network-view.ts';
import type { BlockHash, PeerId } from '../../../src/domain/ids.ts';
import { type PeerPatch, PeerRegistry } from '../../../src/peers/registry.ts';
import { MAX_NETWORK_ROWS } from '../../../src/ports/admin-api.ts';
import type { LeagueRow } from '../../../src/ports/deliveries.ts';
import { FakeClock, RecordedMetrics } from '../../fakes/recorders.ts';

const hash = (digit: string) => digit.repeat(64) as BlockHash;
const LEAGUE = [
  {
    ...{ peerId: 'peer 0' as PeerId, firstDeliveries: 3, laterDeliveries: 0 },
    ...{ firstDeliveryShare: 1, meanDelayMs: undefined },
  },
];
const TOPICS = [{ name: 'block', accepted: 3, ignored: 2, rejected: 1 }];

function viewOf(
  patches: readonly PeerPatch[],
  connected = 0,
  ownHeight?: number,
  league: readonly LeagueRow[] = LEAGUE,
) {
  const registry = new PeerRegistry({ clock: new FakeClock(), metrics: new RecordedMetrics() });
  patches.forEach((patch, i) => {
    const id = `peer ${i}` as PeerId;
    if (i < connected) registry.connected(id);
    registry.heard(id, patch);
  });
  const own = ownHeight === undefined ? undefined : { height: ownHeight, hash: hash('0'), target: 1n, time: 0 };
  const agentOf = (id: PeerId) => (id === 'peer 0' ? 'agent' : undefined);
  return networkView({ peers: registry.list(), agentOf, own, topics: TOPICS, league });
}

test('nothing is known before any peer was heard', () => {
  expect(viewOf([])).toEqual({
    ...{ tip: undefined, own: undefined, lag: undefined, peerLag: undefined, peers: 0, connectedPeers: 0 },
    ...{ versions: [], operators: [], heights: [], topics: TOPICS, league: LEAGUE },
  });
});

test('the tip is the block that most peers claim, however high a single one claims to be', () => {
  const claim = (height: number, digit: string): PeerPatch => ({ claimed: { height, hash: hash(digit) } });
  const proof: PeerPatch = { ...claim(100, 'a'), proven: { height: 100, hash: hash('a') } };
  const view = viewOf([claim(4_000_000_000, 'f'), claim(100, 'a'), proof, claim(99, 'b'), claim(99, 'b')], 2, 90);
  expect(view.tip).toEqual({ height: 100, hash: hash('a'), claimedBy: 2, provenBy: 1 });
  expect([view.own, view.lag]).toEqual([{ height: 90, hash: hash('0') }, 10]);
  expect([view.peers, view.connectedPeers]).toEqual([5, 2]);
  expect(view.heights).toEqual([
    { height: 4_000_000_000, peers: 1 },
    { height: 100, peers: 2 },
    { height: 99, peers: 2 },
  ]);
  expect(viewOf([claim(100, 'a')], 0, 101).lag).toBe(0);
});

test('versions are those of the last node status, else of the handshake, else of libp2p', () => {
  const { versions } = viewOf(
    [{}, { userAgent: 'teranode/v1' }, { version: 'v0.11', userAgent: 'x' }, { version: 'v0.11' }],
    1,
  );
  expect(versions).toEqual([
    { version: 'v0.11', peers: 2 },
    { version: 'agent', peers: 1 },
    { version: 'teranode/v1', peers: 1 },
  ]);
});

test('peers of the same client name are one operator, with the spread of their heights and their storage', () => {
  const at = (height: number) => ({ claimed: { height, hash: undefined } });
  const { operators } = viewOf(
    [
      { clientName: 'b', ...at(5), storage: 'full' },
      { clientName: 'a' },
      { clientName: 'b', ...at(7), storage: 'pruned' },
      {},
    ],
    1,
  );
  expect(operators).toEqual([
    {
      ...{ clientName: 'b', peers: 2, connectedPeers: 1, lowestHeight: 5, highestHeight: 7, full: 1, pruned: 1 },
      ...{ lag: undefined, meanDelayMs: undefined },
    },
    {
      ...{ clientName: 'a', peers: 1, connectedPeers: 0, full: 0, pruned: 0 },
      lowestHeight: undefined,
      ...{ highestHeight: undefined, lag: undefined, meanDelayMs: undefined },
    },
  ]);
});

test('peers and operators are shown with the blocks that they are behind, and operators with their delay', () => {
  const at = (clientName: string, height: number) => ({
    ...{ clientName, claimed: { height, hash: height === 100 ? hash('a') : undefined } },
  });
  const later = (i: number, laterDeliveries: number, meanDelayMs: number | undefined): LeagueRow => ({
    ...{ peerId: `peer ${i}` as PeerId, firstDeliveries: 1, laterDeliveries, firstDeliveryShare: 0.5, meanDelayMs },
  });
  const peers = [at('a', 100), at('a', 97), at('b', 90), at('c', 105), { clientName: 'd' }];
  const view = viewOf(peers, 2, undefined, [later(0, 1, 400), later(1, 3, 200), later(2, 0, undefined)]);
  expect(view.peerLag).toEqual({ peers: 4, behind: 2, median: 3, highest: 10 });
  const { operators } = view;
  expect(operators.map(({ clientName, lag, meanDelayMs }) => [clientName, lag, meanDelayMs])).toEqual([
    ['a', 0, 250],
    ['b', 10, undefined],
    ['c', 0, undefined],
    ['d', undefined, undefined],
  ]);
  expect(viewOf([{ clientName: 'd' }]).peerLag).toBeUndefined();
});

test('lists are bounded, whatever names and versions authors make up', () => {
  const many = Array.from({ length: 3 * MAX_NETWORK_ROWS }, (_each, i) => ({
    ...{ clientName: `name ${i}`, version: `v${i}`, claimed: { height: i, hash: undefined } },
  }));
  const view = viewOf([...many, { clientName: 'name 299' }]);
  expect(view.operators.length).toBe(MAX_NETWORK_ROWS);
  expect(view.operators[0]).toMatchObject({ clientName: 'name 299', peers: 2 });
  expect([view.versions.length, view.heights.length]).toEqual([MAX_NETWORK_ROWS, MAX_NETWORK_ROWS]);
});
