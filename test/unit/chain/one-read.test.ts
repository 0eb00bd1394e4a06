// A new block of our chain: every part that wants its header is served from one read.
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { Announcer } from '../../../src/announce/announcer.ts';
import { BestBlockAnnouncer } from '../../../src/announce/best-block.ts';
import { NodeStatusAnnouncer } from '../../../src/announce/node-status.ts';
import type { BlockHash, PeerId } from '../../../src/domain/ids.ts';
import { guardViews } from '../../../src/gossip/view.ts';
import { Attribution } from '../../../src/peers/attribution.ts';
import { systemClock } from '../../../src/ports/clock.ts';
import { ClaimsPolicy } from '../../../src/sync/claims-policy.ts';
import { SyncManager } from '../../../src/sync/sync-manager.ts';
import { GO_P2P } from '../../../src/wire/format.ts';
import { NETWORKS } from '../../../src/wire/networks.ts';
import { FakeBlockchain } from '../../fakes/blockchain.ts';
import { publisherTo } from '../../fakes/networks.ts';
import { RecordedMetrics, recordingLogger } from '../../fakes/recorders.ts';
import { tracked } from '../../fakes/tracked.ts';
import { message, PEER, World } from '../handshake/fixture.ts';
import { row } from '../sync/rows.ts';

const OWN = 'own' as PeerId;
const SECOND = 1000;
const pass = (ms: number) => vi.advanceTimersByTimeAsync(ms);

beforeEach(() => {
  vi.useFakeTimers();
});

afterEach(() => {
  vi.useRealTimers();
});

/** Everything that wants to know our chain, over one tracker and a chain of 20 blocks. */
async function everything() {
  const blockchain = new FakeBlockchain();
  blockchain.grow(20);
  const [clock, log, metrics] = [systemClock, recordingLogger(), new RecordedMetrics()];
  const chain = tracked(blockchain, { log, metrics });
  await chain.start(new AbortController().signal);
  const published: { topic: string; message: Record<string, unknown> }[] = [];
  const publisher = publisherTo(async (topic, bytes) => {
    published.push({ topic, message: JSON.parse(Buffer.from(bytes).toString()) });
    return 'published';
  });
  const notify = () => {};
  const common = { publisher, ownId: OWN, chain, notify, clock, log, metrics };
  const announcer = new Announcer(common, { dataHubUrl: 'http://us' });
  const peers = [row('ahead', 40)];
  const policy = new ClaimsPolicy(
    { ...common, candidates: () => peers, penalizeFailure: () => {}, random: () => 0 },
    { forcedPeer: undefined },
  );
  const sync = new SyncManager(
    { ...common, policy, publishBlock: () => {}, connectedCount: () => 1 },
    { minPeers: 0, maxWaitMs: 0, hasForcedPeer: false, hasBootstrap: false },
  );
  const presents = { version: '', commitHash: '', clientName: '', listenMode: 'full' };
  const status = new NodeStatusAnnouncer(
    { ...common, blockAssembly: undefined, sync },
    { baseUrl: 'http://us', ...presents },
  );
  const bestBlock = new BestBlockAnnouncer(common);
  const world = new World();
  world.latestTip = () => chain.latestTip();
  const attribution = (kind: 'block' | 'subtree') =>
    new Attribution({ clock, metrics }, { kind, maxAnnouncements: 10, ttlMs: 1000 });
  const [guarded] = guardViews(
    {
      ownId: OWN,
      blocks: attribution('block'),
      subtrees: attribution('subtree'),
      chain,
      isBanned: () => false,
      isLowReputation: () => false,
      isInGoodStanding: () => true,
      sync,
      clock,
    },
    {
      powLimitBits: NETWORKS.regtest.powLimitBits,
      verifiesHeaderPow: true,
      requiresHeader: false,
      authorRate: { perSecond: 0, burst: 0 },
      sourceRate: { perSecond: 0, burst: 0 },
      dataHubUrls: () => ({ allowsPrivate: true, blacklist: [] }),
      maxHeightLead: 10_000,
      maxTargetRatio: 0,
    },
    [{ name: 'p', wire: GO_P2P, node: {} }],
  );
  if (guarded === undefined) throw new Error('no view');
  const { view } = guarded;
  announcer.start();
  status.start();
  sync.start();
  const handshake = world.make();
  const stop = async () => {
    sync.stop();
    await Promise.all([announcer.stop(), status.stop(), bestBlock.stop(), handshake.stop(), chain.stop()]);
  };
  return { blockchain, chain, published, bestBlock, sync, peers, world, handshake, view, metrics, stop };
}

describe('a block notification at RUNNING', () => {
  test('costs one header read for announcer, node status, best block, handshake, sync and validators together', async () => {
    const { blockchain, published, bestBlock, sync, peers, world, handshake, view, metrics, stop } = await everything();
    await pass(13 * SECOND);
    expect(blockchain.subscribers).toBe(1);
    const said = (topic: string) => published.filter((each) => each.topic === topic).map((each) => each.message);
    const statuses = said('node_status').length;
    const before = { tip: blockchain.readings, header: blockchain.headerCalls };

    const [hash] = blockchain.grow(1) as [BlockHash];
    blockchain.tell({ type: 'block', hash });
    blockchain.tell({ type: 'mining_on', hash });
    bestBlock.requested(PEER);
    handshake.peerConnected(PEER);
    handshake.topicMessage(message({ bestHeight: 20 }), PEER);
    handshake.topicMessage(message({ bestHeight: 21 }), PEER);
    // The sync peer leaves: another round of the evaluation begins at once.
    peers[0] = row('other', 50);
    sync.peerLeft('ahead' as PeerId);
    await pass(200);

    expect(said('block')).toMatchObject([{ Hash: hash, Height: 20 }]);
    expect(said('mining_on')).toMatchObject([{ Hash: hash, Height: 20 }]);
    expect(said('node_status').slice(statuses)).toMatchObject([{ best_block_hash: hash, best_height: 20 }]);
    expect(said('best_block')).toEqual([{ Height: 20, Hash: hash }]);
    expect(world.sent.map(({ text }) => JSON.parse(text))).toMatchObject([
      { type: 'verack', bestHeight: 20, bestHash: hash },
      { type: 'version', bestHeight: 20, bestHash: hash },
    ]);
    expect(world.ahead).toEqual([PEER]);
    expect(sync.syncPeer()?.peerId).toBe('other');
    expect(metrics.gaugeValue('teranode_p2p_sync_blocks_behind')).toBe(30);
    expect(view.ownHeightOf(hash)).toBe(20);
    expect({ tip: blockchain.readings - before.tip, header: blockchain.headerCalls - before.header }).toEqual({
      tip: 1,
      header: 0,
    });
    expect(blockchain.subscribers).toBe(1);
    await stop();
    expect(blockchain.subscribers).toBe(0);
  });

  test('costs at most two reads per block when several come in a row, and all are announced in order', async () => {
    const { blockchain, published, stop } = await everything();
    await pass(13 * SECOND);
    const before = { tip: blockchain.readings, header: blockchain.headerCalls };
    const hashes = blockchain.grow(3);
    for (const hash of hashes) blockchain.tell({ type: 'block', hash });
    await pass(200);
    const blocks = published.filter(({ topic }) => topic === 'block').map((each) => each.message);
    expect(blocks.map(({ Hash, Height }) => [Hash, Height])).toEqual(hashes.map((hash, i) => [hash, 20 + i]));
    const reads = blockchain.readings - before.tip + (blockchain.headerCalls - before.header);
    expect(reads).toBeLessThanOrEqual(2 * hashes.length);
    await stop();
  });
});
