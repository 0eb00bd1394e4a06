// What our own chain tells, and what is said of it on gossip.
import { describe, expect, test } from 'vitest';
import { EmbeddedChain } from '../../../src/adapters/sql/embedded-chain.ts';
import { Announcer } from '../../../src/announce/announcer.ts';
import type { Notification } from '../../../src/ports/notification.ts';
import type { PublishOutcome } from '../../../src/ports/p2p-node.ts';
import type { PeerId } from '../../../src/wire/ids.ts';
import { NETWORKS } from '../../../src/wire/networks.ts';
import { FakeClock, RecordedMetrics, recordingLogger } from '../../fakes/recorders.ts';
import { waitFor } from '../../support/wait.ts';

const OWN = '12D3KooWF4fXLtfHxzwCwD2kHPvJNoAzYELUS7gxFoaTrUCGgPNg' as PeerId;
const topics = { block: 'b', subtree: 's', miningOn: 'm' };

async function setUp(publish: (topic: string) => Promise<PublishOutcome> = async () => 'published') {
  const clock = new FakeClock();
  const log = recordingLogger();
  const metrics = new RecordedMetrics();
  const chain = new EmbeddedChain(
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
  const said: { topic: string; message: Record<string, unknown> }[] = [];
  const node = {
    hostId: () => OWN,
    publish: async (topic: string, bytes: Uint8Array) => {
      const outcome = await publish(topic);
      said.push({ topic, message: JSON.parse(Buffer.from(bytes).toString()) });
      return outcome;
    },
  };
  const told: Notification[] = [];
  const announcer = new Announcer(
    { node, blockchain: chain, log, metrics, clock, notify: (each) => told.push(each) },
    { topics, dataHubUrl: 'http://us' },
  );
  await announcer.start();
  return { announcer, chain, said, told, metrics, clock };
}

describe('announcer', () => {
  test('says subtree, block and mining-on of each mined block, in that order, and nothing of the tip it began with', async () => {
    const { announcer, chain, said, told } = await setUp();
    const mined = [chain.mine(), chain.mine()];
    await waitFor(() => told.length === 6, { what: 'six announcements' });
    expect(told.map(({ type }) => type)).toEqual(['subtree', 'block', 'mining_on', 'subtree', 'block', 'mining_on']);
    expect(told[1]).toMatchObject({ isOwn: true, hash: mined[0]?.hash, height: 1, peerId: OWN, baseUrl: 'http://us' });
    expect(said.map(({ topic }) => topic)).toEqual(['s', 'b', 'm', 's', 'b', 'm']);
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

  test.each(['CATCHINGBLOCKS', 'LEGACYSYNCING', 'IDLE'] as const)('is silent while the chain is %s', async (state) => {
    const { announcer, chain, said, metrics } = await setUp();
    chain.setFsmState(state);
    chain.mine();
    await waitFor(() => metrics.count('teranode_p2p_announcements_total', { outcome: 'silent' }) === 3, {
      what: 'three silent ones',
    });
    chain.setFsmState('RUNNING');
    chain.mine();
    await waitFor(() => said.length === 3, { what: 'the next block' });
    expect(said[1]?.message).toMatchObject({ Height: 2 });
    await announcer.stop();
    await chain.stop();
  });

  test('a failing publish is counted and the next announcement goes out', async () => {
    let fails = true;
    const { announcer, chain, said, metrics } = await setUp(async () => {
      if (fails) throw new Error('no peers');
      return 'published';
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
    const { announcer, chain, metrics } = await setUp(async () => 'suppressed');
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
