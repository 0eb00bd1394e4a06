// What is announced on gossip about the blocks of our own chain.
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
  const notified: Notification[] = [];
  const tracker = tracked(chain, { log, metrics });
  await tracker.start(new AbortController().signal);
  const announcer = new Announcer(
    { publisher, ownId: OWN, chain: tracker, log, metrics, clock, notify: (each) => notified.push(each) },
    { dataHubUrl: 'http://us' },
  );
  announcer.start();
  return {
    announcer,
    chain,
    said,
    notified,
    metrics,
    clock,
    /** Heights of the announced blocks. */
    heights: () => said.flatMap(({ topic, message }) => (topic === 'block' ? [message.Height] : [])),
    silent: () => metrics.count('teranode_p2p_announcements_total', { outcome: 'silent' }),
  };
}

describe('announcer', () => {
  test('announces subtree, block and mining-on of each mined block, in that order, but not the tip at its start', async () => {
    const { announcer, chain, said, notified } = await setUp();
    const mined = [chain.mine(), chain.mine()];
    await waitFor(() => notified.length === 6, { what: 'six announcements' });
    const kinds = ['subtree', 'block', 'mining_on', 'subtree', 'block', 'mining_on'];
    expect(notified.map(({ type }) => type)).toEqual(kinds);
    expect(notified[1]).toMatchObject({
      isOwn: true,
      hash: mined[0]?.hash,
      height: 1,
      peerId: OWN,
      baseUrl: 'http://us',
    });
    expect(said.map(({ topic }) => topic)).toEqual(kinds);
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
    'does not announce blocks of %s, also not afterwards',
    async (state) => {
      const { announcer, chain, said, silent } = await setUp();
      chain.setFsmState(state);
      chain.mine();
      await waitFor(() => silent() === 3, { what: 'three that are not announced' });
      chain.setFsmState('RUNNING');
      chain.mine();
      await waitFor(() => said.length === 3, { what: 'the next block' });
      expect(said[1]?.message).toMatchObject({ Height: 2 });
      await announcer.stop();
      await chain.stop();
    },
  );

  test('decides by the FSM state at which a block was reported, not by the state when its turn comes', async () => {
    const { announcer, chain, heights, silent } = await setUp();
    await waitFor(() => chain.asked === 1, { what: 'the first read of the FSM state' });
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

  test('queues blocks reported at IDLE, and announces them once at RUNNING', async () => {
    const { announcer, chain, said, heights, metrics } = await setUp();
    chain.setFsmState('IDLE');
    for (let i = 0; i < 3; i += 1) chain.mine();
    const waiting = () => metrics.gaugeValue('teranode_p2p_announce_queue_length');
    await waitFor(() => waiting() === 3 * 3 - 1, { what: 'one under way, the others waiting' });
    expect(said).toEqual([]);
    chain.setFsmState('RUNNING');
    await waitFor(() => said.length === 9, { what: 'all that waited' });
    chain.mine();
    await waitFor(() => said.length === 12, { what: 'the next block' });
    expect(heights()).toEqual([1, 2, 3, 4]);
    await announcer.stop();
    await chain.stop();
  });

  test('does not announce blocks reported at IDLE when LEGACYSYNCING follows', async () => {
    const { announcer, chain, heights, silent } = await setUp();
    chain.setFsmState('IDLE');
    chain.mine();
    chain.setFsmState('LEGACYSYNCING');
    await waitFor(() => silent() === 3, { what: 'three that are not announced' });
    chain.setFsmState('RUNNING');
    chain.mine();
    await waitFor(() => heights().includes(2), { what: 'the next block' });
    expect(heights()).toEqual([2]);
    await announcer.stop();
    await chain.stop();
  });

  test('waits when it starts at IDLE, and can be stopped there', async () => {
    const begun = await setUp({ state: 'IDLE' });
    await waitFor(() => begun.chain.asked === 1, { what: 'the first read of the FSM state' });
    begun.chain.mine();
    begun.chain.setFsmState('RUNNING');
    await waitFor(() => begun.heights().includes(1), { what: 'the block' });
    begun.chain.setFsmState('IDLE');
    begun.chain.mine();
    await begun.announcer.stop();
    expect(begun.heights()).toEqual([1]);
    await begun.chain.stop();
  });

  test('counts a publish that fails, and announces the next block', async () => {
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

  test('does not count what the node suppresses as published', async () => {
    const { announcer, chain, metrics } = await setUp({ publish: async () => 'suppressed' });
    const counted = (outcome: string) => metrics.count('teranode_p2p_announcements_total', { outcome });
    chain.mine();
    await waitFor(() => counted('suppressed') === 3, { what: 'three that were suppressed' });
    expect(counted('published')).toBe(0);
    await announcer.stop();
    await chain.stop();
  });

  test('announces nothing after stop', async () => {
    const { announcer, chain, said } = await setUp();
    await announcer.stop();
    await announcer.stop();
    chain.mine();
    await new Promise((resolve) => setImmediate(resolve));
    expect(said).toEqual([]);
    await chain.stop();
  });
});
