// What our own chain tells, and what is said of it on gossip.
import { describe, expect, test } from 'vitest';
import { EmbeddedChain } from '../../../src/adapters/embedded-chain/embedded-chain.ts';
import { Announcer } from '../../../src/announce/announcer.ts';
import type { PeerId } from '../../../src/domain/ids.ts';
import type { Notification } from '../../../src/domain/notification.ts';
import type { FsmState } from '../../../src/ports/blockchain-client.ts';
import type { PublishOutcome } from '../../../src/ports/p2p-node.ts';
import { NETWORKS } from '../../../src/wire/networks.ts';
import { publisherTo } from '../../fakes/networks.ts';
import { FakeClock, RecordedMetrics, recordingLogger } from '../../fakes/recorders.ts';
import { tracked } from '../../fakes/tracked.ts';
import { waitFor } from '../../support/wait.ts';

const OWN = '12D3KooWF4fXLtfHxzwCwD2kHPvJNoAzYELUS7gxFoaTrUCGgPNg' as PeerId;

class CountingChain extends EmbeddedChain {
  asked = 0;

  override fsmState(): Promise<FsmState> {
    this.asked += 1;
    return super.fsmState();
  }
}

async function setUp({
  publish = async () => 'published',
  state = 'RUNNING',
}: {
  publish?: (topic: string) => Promise<PublishOutcome>;
  state?: FsmState;
} = {}) {
  const clock = new FakeClock();
  const log = recordingLogger();
  const metrics = new RecordedMetrics();
  const chain = new CountingChain(
    { log, clock },
    {
      network: NETWORKS.regtest,
      path: ':memory:',
      headersFile: undefined,
      mineIntervalMs: undefined,
      minerText: '/m/',
    },
  );
  await chain.start(new AbortController().signal);
  chain.setFsmState(state);
  const said: { topic: string; message: Record<string, unknown> }[] = [];
  const publisher = publisherTo(async (topic, bytes) => {
    const outcome = await publish(topic);
    said.push({ topic, message: JSON.parse(Buffer.from(bytes).toString()) });
    return outcome;
  });
  const told: Notification[] = [];
  const tracker = tracked(chain, { log, metrics });
  await tracker.start(new AbortController().signal);
  const announcer = new Announcer(
    { publisher, ownId: OWN, chain: tracker, log, metrics, clock, notify: (each) => told.push(each) },
    { dataHubUrl: 'http://us' },
  );
  announcer.start();
  return {
    announcer,
    chain,
    said,
    told,
    metrics,
    clock,
    /** Of the blocks said. */
    heights: () => said.flatMap(({ topic, message }) => (topic === 'block' ? [message.Height] : [])),
    silent: () => metrics.count('teranode_p2p_announcements_total', { outcome: 'silent' }),
  };
}

describe('announcer', () => {
  test('says subtree, block and mining-on of each mined block, in that order, and nothing of the tip it began with', async () => {
    const { announcer, chain, said, told } = await setUp();
    const mined = [chain.mine(), chain.mine()];
    await waitFor(() => told.length === 6, { what: 'six announcements' });
    expect(told.map(({ type }) => type)).toEqual(['subtree', 'block', 'mining_on', 'subtree', 'block', 'mining_on']);
    expect(told[1]).toMatchObject({ isOwn: true, hash: mined[0]?.hash, height: 1, peerId: OWN, baseUrl: 'http://us' });
    expect(said.map(({ topic }) => topic)).toEqual(['subtree', 'block', 'mining_on', 'subtree', 'block', 'mining_on']);
    expect(said[1]?.message).toEqual({
      Hash: mined[0]?.hash,
      Height: 1,
      DataHubURL: 'http://us',
      PeerID: OWN,
      Header: Buffer.from(mined[0]?.header ?? []).toString('hex'),
    });
    expect(said[5]?.message).toMatchObject({
      Hash: mined[1]?.hash,
      PreviousHash: mined[0]?.hash,
      Height: 2,
      Miner: '/m/',
      TxCount: 1,
    });
    await announcer.stop();
    await chain.stop();
  });

  test.each(['CATCHINGBLOCKS', 'LEGACYSYNCING'] as const)(
    'is silent while the chain is %s, and of that afterwards',
    async (state) => {
      const { announcer, chain, said, silent } = await setUp();
      chain.setFsmState(state);
      chain.mine();
      await waitFor(() => silent() === 3, { what: 'three silent ones' });
      chain.setFsmState('RUNNING');
      chain.mine();
      await waitFor(() => said.length === 3, { what: 'the next block' });
      expect(said[1]?.message).toMatchObject({ Height: 2 });
      await announcer.stop();
      await chain.stop();
    },
  );

  test('judges by the state at which a block was told, not by that in which its turn comes', async () => {
    const { announcer, chain, heights, silent } = await setUp();
    await waitFor(() => chain.asked === 1, { what: 'the first question' });
    chain.mine();
    chain.setFsmState('CATCHINGBLOCKS');
    for (let i = 0; i < 3; i += 1) chain.mine();
    chain.setFsmState('RUNNING');
    chain.mine();
    await waitFor(() => heights().includes(5), { what: 'the last block' });
    expect([heights(), silent()]).toEqual([[1, 5], 9]);
    await announcer.stop();
    await chain.stop();
  });

  test('what is told at IDLE waits, and is said once when the chain runs', async () => {
    const { announcer, chain, said, heights, metrics } = await setUp();
    chain.setFsmState('IDLE');
    for (let i = 0; i < 3; i += 1) chain.mine();
    const waiting = () => metrics.gaugeValue('teranode_p2p_announce_queue_length');
    await waitFor(() => waiting() === 3 * 3 - 1, { what: 'one taken, the others waiting' });
    expect(said).toEqual([]);
    chain.setFsmState('RUNNING');
    await waitFor(() => said.length === 9, { what: 'all that waited' });
    chain.mine();
    await waitFor(() => said.length === 12, { what: 'the next block' });
    expect(heights()).toEqual([1, 2, 3, 4]);
    await announcer.stop();
    await chain.stop();
  });

  test('what is told at IDLE is old news when the chain goes on to sync', async () => {
    const { announcer, chain, heights, silent } = await setUp();
    chain.setFsmState('IDLE');
    chain.mine();
    chain.setFsmState('LEGACYSYNCING');
    await waitFor(() => silent() === 3, { what: 'three silent ones' });
    chain.setFsmState('RUNNING');
    chain.mine();
    await waitFor(() => heights().includes(2), { what: 'the next block' });
    expect(heights()).toEqual([2]);
    await announcer.stop();
    await chain.stop();
  });

  test('one that begins at IDLE waits as well, and one that is stopped there stops', async () => {
    const begun = await setUp({ state: 'IDLE' });
    await waitFor(() => begun.chain.asked === 1, { what: 'the first question' });
    begun.chain.mine();
    begun.chain.setFsmState('RUNNING');
    await waitFor(() => begun.heights().includes(1), { what: 'the block' });
    begun.chain.setFsmState('IDLE');
    begun.chain.mine();
    await begun.announcer.stop();
    expect(begun.heights()).toEqual([1]);
    await begun.chain.stop();
  });

  test('a failing publish is counted and the next announcement goes out', async () => {
    let fails = true;
    const { announcer, chain, said, metrics } = await setUp({
      publish: async () => {
        if (fails) throw new Error('no peers');
        return 'published';
      },
    });
    chain.mine();
    await waitFor(() => metrics.count('teranode_p2p_announcements_total', { outcome: 'failed' }) === 3, {
      what: 'three failures',
    });
    fails = false;
    chain.mine();
    await waitFor(() => said.length === 3, { what: 'the next block' });
    await announcer.stop();
    await chain.stop();
  });

  test('what the node keeps to itself does not count as published', async () => {
    const { announcer, chain, metrics } = await setUp({ publish: async () => 'suppressed' });
    const counted = (outcome: string) => metrics.count('teranode_p2p_announcements_total', { outcome });
    chain.mine();
    await waitFor(() => counted('suppressed') === 3, { what: 'three that were kept back' });
    expect(counted('published')).toBe(0);
    await announcer.stop();
    await chain.stop();
  });

  test('says nothing after stop', async () => {
    const { announcer, chain, said } = await setUp();
    await announcer.stop();
    await announcer.stop();
    chain.mine();
    await new Promise((resolve) => setImmediate(resolve));
    expect(said).toEqual([]);
    await chain.stop();
  });
});
