// The status of this node: its content, when it is announced, and what happens when a service fails or hangs.

import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import {
  type BusStatusOptions,
  NodeStatusAnnouncer,
  type NodeStatusDependencies,
  type NodeStatusOptions,
} from '../../../src/announce/node-status.ts';
import type { BlockHash, PeerId } from '../../../src/domain/ids.ts';
import type { BlockAssemblyDetails, NodeStatusMessage } from '../../../src/domain/node-status.ts';
import type { Notification } from '../../../src/domain/notification.ts';
import type { PublishOutcome } from '../../../src/ports/p2p-node.ts';
import type { SyncPeer } from '../../../src/ports/sync-status.ts';
import { UNKNOWN_BLOCK_ASSEMBLY } from '../../../src/wire/block-assembly-details.ts';
import { decodeNodeStatus, encodeBusNodeStatus, encodeNodeStatus } from '../../../src/wire/node-status.ts';
import { encodeNotificationFrame } from '../../../src/wire/notification-frame.ts';
import { publisherTo } from '../../fakes/networks.ts';
import { FakeClock, RecordedMetrics, recordingLogger } from '../../fakes/recorders.ts';
import { BEST, ScriptedChain } from '../../fakes/scripted-chain.ts';
import { tracked } from '../../fakes/tracked.ts';
import { dataJson, recordedTexts } from '../../support/recorded.ts';

const OWN = '12D3KooWR7ZA55D4QgE3jgfZM5WGJsTq6WwDTLNTb7XqFaBsAsRY' as PeerId;
const SECOND = 1000;

const OPTIONS: NodeStatusOptions = {
  baseUrl: 'http://127.0.0.1:8090/api/v1',
  version: 'Unknown',
  commitHash: 'Unknown',
  clientName: 'research-tn',
  listenMode: 'full',
};

function setUp(
  options: Partial<NodeStatusOptions> = {},
  deps: Partial<NodeStatusDependencies> & { hostId?: PeerId; clock?: FakeClock } = {},
) {
  const { hostId = OWN, clock = new FakeClock() } = deps;
  const chain = new ScriptedChain();
  const tracker = tracked(chain, { clock });
  const metrics = new RecordedMetrics();
  const log = recordingLogger();
  const said: { topic: string; text: string; status: NodeStatusMessage }[] = [];
  const notified: Notification[] = [];
  const outcome: { publish: () => Promise<PublishOutcome> } = { publish: async () => 'published' };
  const publisher = publisherTo(async (topic, bytes) => {
    const result = await outcome.publish();
    const decoded = decodeNodeStatus(bytes);
    if (!decoded.ok) throw new Error(decoded.fault.detail);
    if (result === 'published') said.push({ topic, text: Buffer.from(bytes).toString(), status: decoded.message });
    return result;
  });
  const announcer = new NodeStatusAnnouncer(
    {
      publisher,
      ownId: hostId,
      chain: tracker,
      blockAssembly: undefined,
      sync: { syncPeer: () => undefined },
      notify: (notification) => notified.push(notification),
      clock,
      log,
      metrics,
      ...deps,
    },
    { ...OPTIONS, ...options },
  );
  const pass = async (ms: number) => {
    for (let left = ms; left > 0; left -= 100) {
      clock.advance(Math.min(100, left));
      await vi.advanceTimersByTimeAsync(Math.min(100, left));
    }
    await vi.advanceTimersByTimeAsync(0);
  };
  return { announcer, chain, tracker, metrics, log, said, notified, outcome, clock, pass };
}

/** The best header that a recorded status shows. */
function bestOf(recorded: { best_block_hash: BlockHash; best_height: number; miner_name: string; chain_work: string }) {
  return {
    ...BEST,
    hash: recorded.best_block_hash,
    height: recorded.best_height,
    miner: recorded.miner_name,
    chainWork: BigInt(`0x${recorded.chain_work}`),
  };
}

beforeEach(() => {
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
});

afterEach(() => {
  vi.useRealTimers();
});

describe('a node status', () => {
  test('has the bytes of the recorded Go server for the same facts', async () => {
    for (const text of recordedTexts('teranode-node_status.json')) {
      const recorded = JSON.parse(text);
      const clock = new FakeClock();
      clock.advance(recorded.start_time * SECOND - clock.now());
      const { announcer, chain } = setUp({}, { clock, hostId: recorded.peer_id });
      chain.best = bestOf(recorded);
      clock.advance(recorded.uptime * SECOND);
      const ours = Buffer.from(encodeNodeStatus(await announcer.current())).toString();
      // Go counts nanoseconds, the clock here microseconds.
      const uptime = /"uptime":([\d.]+)/;
      expect(Number(uptime.exec(ours)?.[1])).toBeCloseTo(recorded.uptime, 5);
      expect(ours.replace(uptime, '')).toBe(text.replace(uptime, ''));
    }
  });

  test('has the frame that a WebSocket client of the recorded Go server got first', async () => {
    const { frames } = dataJson<{ frames: Record<string, { data: string }[]> }>('messages/teranode-websocket.json');
    const text = frames.hearer?.[0]?.data ?? '';
    const recorded = JSON.parse(text);
    const clock = new FakeClock();
    clock.advance(Date.parse(recorded.timestamp) - clock.now());
    const assembly: BlockAssemblyDetails = { ...UNKNOWN_BLOCK_ASSEMBLY, ...recorded.block_assembly_details };
    const { announcer, chain } = setUp(
      { version: recorded.version, commitHash: recorded.commit_hash, clientName: recorded.client_name },
      { clock, hostId: recorded.peer_id, blockAssembly: { state: async () => assembly } },
    );
    chain.best = bestOf(recorded);
    clock.advance(Math.round(recorded.uptime * SECOND));
    const ours = Buffer.from(encodeNotificationFrame(await announcer.currentNotification())).toString();
    const uptime = /"uptime":[\d.]+/;
    expect(ours.replace(uptime, '')).toBe(text.replace(uptime, ''));
  });

  test('has the fields of message-bus where that is spoken, with what is known', async () => {
    const assembly = { ...UNKNOWN_BLOCK_ASSEMBLY, txCount: 12n, subtreeCount: 3 };
    const onBus: BusStatusOptions = {
      propagationUrl: 'https://tx.example',
      minMiningTxFee: 0,
      feePolicy: { miningFee: { satoshis: 1, bytes: 1000 }, maxScriptSize: 1n, maxTxSize: 2n, maxTxSigops: 3n },
      connectedPeers: () => 9,
      storageAt: async (bestHeight) => (bestHeight === BEST.height ? 'full' : 'pruned'),
    };
    const { announcer } = setUp({ onBus }, { blockAssembly: { state: async () => assembly } });
    const { propagationUrl, minMiningTxFee, feePolicy } = onBus;
    expect(await announcer.current()).toMatchObject({
      ...{ propagationUrl, minMiningTxFee, feePolicy },
      ...{ txCount: 12n, subtreeCount: 3, connectedPeersCount: 9, storage: 'full' },
    });
    const unknown: BusStatusOptions = {
      ...onBus,
      propagationUrl: '',
      feePolicy: undefined,
      storageAt: async () => undefined,
    };
    const status = await setUp({ onBus: unknown }).announcer.current();
    for (const field of ['propagationUrl', 'feePolicy', 'storage']) expect(status).not.toHaveProperty(field);
    const text = Buffer.from(encodeBusNodeStatus(status)).toString();
    expect(text).toContain('"min_mining_tx_fee":0,"connected_peers_count":9}');
    expect(text).not.toContain('_count":0');
    expect(await setUp().announcer.current()).not.toHaveProperty('txCount');
  });

  test('shows the sync peer', async () => {
    const peer: SyncPeer = { peerId: OWN, height: 7, hash: BEST.hash, sinceMs: 1_795_413_625_947 };
    const { announcer } = setUp({}, { sync: { syncPeer: () => peer } });
    expect(await announcer.current()).toMatchObject({
      syncPeerId: OWN,
      syncPeerHeight: 7,
      syncPeerBlockHash: BEST.hash,
      syncConnectedAt: 1_795_413_625n,
    });
  });

  test('has no chain work when the service returns none, and no more subtrees than peers accept', async () => {
    const subtrees = Array.from({ length: 10_000 }, () => BEST.hash);
    const { announcer, chain } = setUp(
      {},
      { blockAssembly: { state: async () => ({ ...UNKNOWN_BLOCK_ASSEMBLY, subtrees }) } },
    );
    chain.best = { ...BEST, chainWork: undefined };
    const status = await announcer.current();
    expect(status.chainWork).toBe('');
    expect(encodeNodeStatus(status).byteLength).toBeLessThan(256 * 1024);
    expect(status.blockAssemblyDetails.subtrees.length).toBeGreaterThan(1000);
  });
});

describe('a node status is announced', () => {
  test('at start and every 10 s, with one notification each', async () => {
    const { announcer, said, notified, pass, metrics } = setUp();
    announcer.start();
    announcer.start();
    await pass(100);
    expect(said).toHaveLength(1);
    await pass(31 * SECOND);
    expect(said).toHaveLength(4);
    expect(said.map(({ status }) => Math.round(status.uptime))).toEqual([0, 10, 20, 30]);
    expect(notified).toHaveLength(4);
    expect(notified[1]).toMatchObject({ type: 'node_status', isOwn: true, peerId: OWN, bestHeight: 2 });
    expect(metrics.count('teranode_p2p_announcements_total', { kind: 'node_status', outcome: 'published' })).toBe(4);
  });

  test('after each block and mining-on, not after a subtree', async () => {
    const { announcer, chain, tracker, said, pass } = setUp();
    await tracker.start(new AbortController().signal);
    announcer.start();
    await pass(2 * SECOND);
    chain.best = { ...BEST, height: 3 };
    chain.tell('subtree');
    await pass(100);
    expect(said).toHaveLength(1);
    chain.tell('block');
    await pass(100);
    expect(said.map(({ status }) => status.bestHeight)).toEqual([2, 3]);
    await pass(2 * SECOND);
    chain.tell('mining_on');
    await pass(100);
    expect(said).toHaveLength(3);
    await pass(10 * SECOND);
    expect(said).toHaveLength(4);
  });

  test('once per second for many blocks, and always for the last one', async () => {
    const { announcer, chain, tracker, said, pass } = setUp();
    await tracker.start(new AbortController().signal);
    announcer.start();
    await pass(2 * SECOND);
    for (let height = 3; height < 1003; height += 1) {
      chain.best = { ...BEST, height };
      chain.tell('block', 'mining_on');
      if (height % 100 === 0) await pass(100);
    }
    await pass(2 * SECOND);
    expect(said.length).toBeLessThanOrEqual(4);
    expect(said.at(-1)?.status.bestHeight).toBe(1002);
  });

  test('whatever the FSM state is', async () => {
    const { announcer, chain, said, notified, pass } = setUp();
    chain.state = 'CATCHINGBLOCKS';
    announcer.start();
    await pass(100);
    expect(said.map(({ topic, status }) => [topic, status.fsmState])).toEqual([['node_status', 'CATCHINGBLOCKS']]);
    expect(notified).toHaveLength(1);
  });

  test('without a notification when the node suppresses it', async () => {
    const { announcer, outcome, notified, pass, metrics } = setUp({ listenMode: 'listen_only' });
    outcome.publish = async () => 'suppressed';
    announcer.start();
    await pass(100);
    expect(notified).toEqual([]);
    expect(metrics.count('teranode_p2p_announcements_total', { outcome: 'suppressed' })).toBe(1);
    expect(await announcer.current()).toMatchObject({ listenMode: 'listen_only', bestHeight: 2 });
    expect(announcer.lastStatus()).toMatchObject({ listenMode: 'listen_only' });
  });

  test('no more after stop, which may come twice or while it is built', async () => {
    const { announcer, chain, said, pass, log } = setUp();
    chain.mood = 'hangs';
    announcer.start();
    await pass(100);
    await Promise.all([announcer.stop(), announcer.stop()]);
    chain.release();
    chain.tell('block');
    await pass(30 * SECOND);
    expect(said).toEqual([]);
    expect(log.lines.filter(({ level }) => level === 'warn')).toEqual([]);
  });
});

describe('a service that fails or hangs', () => {
  test('costs statuses and one warning when it is the blockchain service', async () => {
    const { announcer, chain, said, metrics, log, pass } = setUp();
    chain.mood = 'fails';
    announcer.start();
    await pass(31 * SECOND);
    expect(said).toEqual([]);
    expect(metrics.count('teranode_p2p_announcements_total', { outcome: 'failed' })).toBe(4);
    expect(log.lines.filter(({ level }) => level === 'warn')).toHaveLength(1);
    chain.mood = 'answers';
    await pass(10 * SECOND);
    expect(said).toHaveLength(1);
  });

  test('is not asked again while it hangs, and the status is announced as soon as it answers', async () => {
    const { announcer, chain, said, metrics, pass } = setUp();
    chain.mood = 'hangs';
    announcer.start();
    await pass(60 * SECOND);
    expect(chain.calls).toBe(2);
    expect(metrics.count('teranode_p2p_announcements_total', { outcome: 'failed' })).toBe(5);
    chain.release();
    await pass(SECOND);
    expect(said).toHaveLength(1);
  });

  test('leaves the details of block assembly empty when it is block assembly', async () => {
    let state: () => Promise<BlockAssemblyDetails> = () => Promise.reject(new Error('away'));
    const { announcer, said, pass } = setUp({}, { blockAssembly: { state: () => state() } });
    announcer.start();
    await pass(SECOND);
    state = () => new Promise(() => {});
    await pass(14 * SECOND);
    expect(said.map(({ status }) => status.blockAssemblyDetails)).toEqual([
      UNKNOWN_BLOCK_ASSEMBLY,
      UNKNOWN_BLOCK_ASSEMBLY,
    ]);
    expect(said[0]?.text).toContain('"block_assembly_details":{}');
  });

  test('does not stop the announcements when publishing fails or hangs', async () => {
    const { announcer, outcome, said, notified, metrics, pass } = setUp();
    outcome.publish = () => Promise.reject(new Error('not started'));
    announcer.start();
    await pass(SECOND);
    outcome.publish = () => new Promise(() => {});
    await pass(16 * SECOND);
    expect(metrics.count('teranode_p2p_announcements_total', { outcome: 'failed' })).toBe(2);
    expect(notified).toEqual([]);
    outcome.publish = async () => 'published';
    await pass(10 * SECOND);
    expect(said).toHaveLength(1);
  });

  test('leaves the last known status, and an error while none was ever known', async () => {
    const { announcer, chain, clock } = setUp();
    chain.mood = 'fails';
    await expect(announcer.current()).rejects.toThrow('down');
    chain.mood = 'answers';
    await announcer.current();
    chain.mood = 'fails';
    clock.advance(5 * SECOND);
    expect(await announcer.current()).toMatchObject({ bestHeight: 2, uptime: 5 });
  });
});
