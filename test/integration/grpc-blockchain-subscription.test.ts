// The subscription to the blockchain service: whatever happens to service, stream or connection, listeners hear of
// every block that is best afterwards, once and in order.
import { describe, expect, test } from 'vitest';
import { EmbeddedChain } from '../../src/adapters/embedded-chain/embedded-chain.ts';
import { MAX_WAITING } from '../../src/adapters/services/notification-feed.ts';
import { MAX_MISSED } from '../../src/adapters/services/tip-follower.ts';
import type { BlockHash } from '../../src/domain/ids.ts';
import { NotificationType } from '../../src/gen/model_pb.js';
import { systemClock } from '../../src/ports/clock.ts';
import { hashToBytes } from '../../src/wire/hash.ts';
import { parseHeader } from '../../src/wire/header.ts';
import { NETWORKS } from '../../src/wire/networks.ts';
import { recordingLogger } from '../fakes/recorders.ts';
import { type MinedBlock, ReferenceServiceProcess } from '../support/reference-service-process.ts';
import {
  atEnd,
  type HeardNotifications,
  listen,
  type StartedClient,
  startClient,
  stopClientsAfterEach,
} from '../support/rpc-clients.ts';
import { waitFor } from '../support/wait.ts';

stopClientsAfterEach();

interface Scene extends StartedClient {
  readonly service: ReferenceServiceProcess;
  /** Listening, and past the tip. */
  readonly heard: HeardNotifications;
  readonly tip: BlockHash;
}

/** A service on whose tip a few blocks stand before anybody listens. */
async function scene(options: Parameters<typeof startClient>[1] = {}): Promise<Scene> {
  const service = await ReferenceServiceProcess.start();
  atEnd(() => service.stop());
  const { hash: tip } = await service.mine(5);
  const started = await startClient(service.address, options);
  const heard = listen(started.client);
  await heardBlocks(heard, [tip]);
  return { ...started, service, heard, tip };
}

async function heardBlocks(heard: HeardNotifications, expected: readonly BlockHash[]): Promise<void> {
  const last = expected.at(-1);
  await waitFor(() => heard.blocks().at(-1) === last && heard.blocks().length >= expected.length, {
    what: `block ${last} after ${expected.length - 1} others`,
    timeoutMs: 15_000,
  }).catch((cause: unknown) => {
    throw new Error(`heard ${heard.blocks().length} blocks, not ${expected.length}`, { cause });
  });
  expect(heard.blocks()).toEqual(expected);
}

const isUp = ({ metrics }: Pick<Scene, 'metrics'>) => metrics.gaugeValue('teranode_p2p_rpc_subscription_up') === 1;
const hashes = (blocks: readonly MinedBlock[]) => blocks.map(({ hash }) => hash);
const parentOf = ({ header }: MinedBlock) => parseHeader(header)?.previousHash as BlockHash;
const hexOf = (hash: BlockHash) => Buffer.from(hashToBytes(hash)).toString('hex');

describe('gaps in the notifications', () => {
  test('no block is lost while the service is killed and restarted over and over', async () => {
    const { service, heard, tip, metrics } = await scene();
    const expected = [tip];
    for (let round = 0; round < 4; round += 1) {
      // The last of these are not always sent before the end.
      expected.push(...hashes(await service.mineAll(7)));
      await (round % 2 === 0 ? service.kill() : service.stop());
      await service.up();
      expected.push(...hashes(await service.mineAll(7)));
    }
    expected.push((await service.mine()).hash);
    await heardBlocks(heard, expected);
    expect(metrics.count('teranode_p2p_rpc_subscription_restarts_total', { service: 'blockchain' })).toBeGreaterThan(0);
    expect((await service.counts()).subscriptions).toBe(1);
  });

  test('no block is lost when the service ends streams with any status, and the tip is not announced again', async () => {
    const { service, heard, tip } = await scene();
    const expected = [tip];
    for (const code of ['UNAVAILABLE', 'INTERNAL', 'OK', 'UNAUTHENTICATED']) {
      await service.endSubscriptions(code);
      await service.mute(true);
      expected.push(...hashes(await service.mineAll(3)));
      await service.mute(false);
      await heardBlocks(heard, expected);
      await waitFor(async () => (await service.counts()).subscriptions === 1, { what: 'the stream' });
    }
    expected.push((await service.mine()).hash);
    await heardBlocks(heard, expected);
  });

  test('blocks that the service did not announce are found with the next block', async () => {
    const { service, heard, tip } = await scene();
    await service.mute(true);
    const missed = await service.mineAll(9);
    await service.mute(false);
    const next = await service.mine();
    await heardBlocks(heard, [tip, ...hashes(missed), next.hash]);
  });

  test('after a gap beyond the bound the latest blocks are announced, with a warning', async () => {
    const { service, heard, tip, log } = await scene();
    await service.mute(true);
    const missed = await service.mineAll(MAX_MISSED + 20);
    await service.mute(false);
    const next = await service.mine();
    await heardBlocks(heard, [tip, ...hashes(missed).slice(-MAX_MISSED), next.hash]);
    expect(log.lines).toContainEqual(
      expect.objectContaining({ event: 'too many missed blocks, announcing the latest' }),
    );
  });

  test('a full queue drops the oldest notification, and no block is lost', async () => {
    const { service, heard, tip, metrics } = await scene();
    await service.stall('GetBlockHeader');
    const blocks = hashes(await service.mineAll(5));
    const failure = { type: NotificationType.PeerFailure, metadata: { peer_id: 'p' } };
    await Promise.all(Array.from({ length: MAX_WAITING + 100 }, () => service.notify(failure)));
    await waitFor(() => metrics.count('teranode_p2p_rpc_notifications_dropped_total') > 0, { what: 'drops' });
    expect(metrics.gaugeValue('teranode_p2p_rpc_notifications_waiting')).toBeLessThanOrEqual(MAX_WAITING);
    expect(metrics.gaugeValue('teranode_p2p_rpc_notifications_bound')).toBe(MAX_WAITING);
    await service.resume();
    await heardBlocks(heard, [tip, ...blocks]);
    expect((await service.mine()).hash).toBe(await waitFor(() => heard.blocks()[6], { what: 'one more' }));
  });

  test('failing look-ups delay blocks and lose none', async () => {
    const { service, heard, tip } = await scene();
    await service.fail('GetBlockHeader', 'PERMISSION_DENIED', 3);
    await service.fail('GetFSMCurrentState', 'PERMISSION_DENIED', 2);
    const blocks = await service.mineAll(3);
    await heardBlocks(heard, [tip, ...hashes(blocks)]);
  });

  test('a dead connection that was not closed is noticed within seconds', async () => {
    const made = await scene();
    const { service, heard, tip } = made;
    service.freeze();
    await waitFor(() => !isUp(made), { what: 'the end of the subscription', timeoutMs: 8000 });
    service.thaw();
    const { hash } = await service.mine();
    await heardBlocks(heard, [tip, hash]);
    await waitFor(() => isUp(made), { what: 'the subscription' });
  });

  test('a service that accepts the subscription and sends nothing is asked again', async () => {
    const { service, heard, tip, metrics } = await scene();
    await service.stall('Subscribe');
    await service.endSubscriptions('UNAVAILABLE');
    const restarts = () => metrics.count('teranode_p2p_rpc_subscription_restarts_total');
    await waitFor(() => restarts() >= 2, { what: 'another subscription' });
    const { hash } = await service.mine();
    await service.resume();
    await heardBlocks(heard, [tip, hash]);
  });

  test('a subscription that the service has forgotten loses no block and is restarted', async () => {
    const { service, heard, tip, log } = await scene();
    await service.mute(true);
    const { hash } = await service.mine();
    await waitFor(() => heard.blocks().includes(hash), { timeoutMs: 40_000, what: 'the block' });
    await waitFor(() => log.lines.some(({ event }) => event.endsWith('is silent, restarting it')), {
      what: 'another subscription',
    });
    await service.mute(false);
    const next = await service.mine();
    await heardBlocks(heard, [tip, hash, next.hash]);
  }, 70_000);

  test('a subscription may start before the service', async () => {
    const first = await ReferenceServiceProcess.start();
    const { hash } = await first.mine(3);
    await first.kill();
    const { client } = await startClient(first.address);
    const heard = listen(client);
    await first.up();
    atEnd(() => first.stop());
    await heardBlocks(heard, [hash]);
    expect(heard.all).toHaveLength(1);
  });
});

describe('branches and invalid blocks', () => {
  test('a longer branch is announced from its first block on, and no block twice', async () => {
    const { service, heard, tip } = await scene();
    const ours = await service.mineAll(2);
    await heardBlocks(heard, [tip, ...hashes(ours)]);
    await service.mute(true);
    const branch = await service.mineAll(3, tip);
    await service.mute(false);
    const longer = await service.mineAll(2, ours.at(-1)?.hash);
    const next = await service.mineAll(2, branch.at(-1)?.hash);
    const expected = [tip, ...hashes(ours), ...hashes(longer), ...hashes(branch), ...hashes(next)];
    await heardBlocks(heard, expected);
  });

  test('a branch that starts below the first tip is announced without the common blocks', async () => {
    const { service, heard, tip } = await scene();
    const base = parentOf(await service.best());
    await service.mute(true);
    const branch = await service.mineAll(3, base);
    await service.endSubscriptions('UNAVAILABLE');
    await service.mute(false);
    await heardBlocks(heard, [tip, ...hashes(branch)]);
  });

  test('the notification of an old block is not announced', async () => {
    const { service, heard, tip } = await scene();
    const best = await service.best();
    await service.notify({ type: NotificationType.Block, hash: hexOf(parentOf(best)) });
    await service.notify({ type: NotificationType.Block, hash: hexOf(tip) });
    const { hash } = await service.mine();
    await heardBlocks(heard, [tip, hash]);
  });

  test('an announced block that turns out invalid is announced once more, then the new best block', async () => {
    const { client, service, heard, tip } = await scene();
    const bad = await service.mine();
    await heardBlocks(heard, [tip, bad.hash]);
    await service.invalidate(bad.hash);
    await heardBlocks(heard, [tip, bad.hash, bad.hash]);
    expect(await client.blockHeader(bad.hash)).toMatchObject({ invalid: true });
    const good = await service.mine();
    await heardBlocks(heard, [tip, bad.hash, bad.hash, good.hash]);
    await service.mute(true);
    const rival = await service.mine(1, tip);
    await service.mute(false);
    await service.invalidate(good.hash);
    await heardBlocks(heard, [tip, bad.hash, bad.hash, good.hash, good.hash, rival.hash]);
  });

  test('a block that was always invalid is not announced', async () => {
    const service = await ReferenceServiceProcess.start();
    atEnd(() => service.stop());
    const { client } = await startClient(service.address);
    const heard = listen(client);
    const { hash: genesis } = await service.best();
    await heardBlocks(heard, [genesis]);
    const other = new EmbeddedChain(
      { log: recordingLogger(), clock: systemClock },
      {
        network: NETWORKS.regtest,
        path: ':memory:',
        headersFile: undefined,
        mineIntervalMs: undefined,
        minerText: '/x/',
      },
    );
    await other.start(new AbortController().signal);
    await service.addHeader(other.mine().header, true);
    await service.addHeader(other.mine().header);
    await other.stop();
    const { hash } = await service.mine();
    await heardBlocks(heard, [genesis, hash]);
  });
});

describe('listeners of the subscription', () => {
  test('share one stream, start with the tip each; the last to leave ends the stream, and the next one opens another', async () => {
    const made = await scene();
    const { client, service, heard, tip } = made;
    const { hash: second } = await service.mine();
    await heardBlocks(heard, [tip, second]);
    const later = listen(client, 'later');
    await heardBlocks(later, [second]);
    expect((await service.counts()).subscriptions).toBe(1);
    const { hash: third } = await service.mine();
    await heardBlocks(later, [second, third]);
    await heardBlocks(heard, [tip, second, third]);
    heard.stop();
    heard.stop();
    const { hash: fourth } = await service.mine();
    await heardBlocks(later, [second, third, fourth]);
    expect(heard.blocks()).toHaveLength(3);
    later.stop();
    await waitFor(async () => (await service.counts()).subscriptions === 0, { what: 'the end of the stream' });
    expect(isUp(made)).toBe(false);
    const { hash: fifth } = await service.mine();
    const again = listen(client, 'again');
    await heardBlocks(again, [fifth]);
  });

  test('one may throw, one may leave while it is called, and one too many is refused', async () => {
    const { client, service, heard, tip, log } = await scene();
    client.subscribe('bad', () => {
      throw new Error('no');
    });
    let calls = 0;
    const leave = client.subscribe('shy', () => {
      calls += 1;
      leave();
    });
    const { hash } = await service.mine();
    await heardBlocks(heard, [tip, hash]);
    await waitFor(() => calls > 0, { what: 'the shy one' });
    await heardBlocks(heard, [tip, hash, (await service.mine()).hash]);
    expect(calls).toBe(1);
    expect(log.lines).toContainEqual(expect.objectContaining({ event: 'blockchain subscriber failed' }));
    for (let i = 0; i < 98; i += 1) client.subscribe('more', () => {});
    expect(() => client.subscribe('one too many', () => {})).toThrow(RangeError);
  });
});

describe('notifications', () => {
  test('of every kind arrive in order; unknown ones are counted, and the stream continues', async () => {
    const { service, heard, tip, metrics } = await scene();
    const kinds = (kind: string) => metrics.count('teranode_p2p_rpc_notifications_total', { kind });
    await service.notify({ type: NotificationType.PING });
    await service.notify({ type: NotificationType.BlockSubtreesSet, hash: hexOf(tip) });
    await service.notify({ type: 99, hash: hexOf(tip) });
    const details = { peer_id: '12D3Koo', failure_type: 'catchup', reason: 'x'.repeat(5000) };
    await service.notify({ type: NotificationType.PeerFailure, metadata: details });
    await service.setFsmState('CATCHINGBLOCKS');
    const { hash } = await service.mine();
    await heardBlocks(heard, [tip, hash]);
    await waitFor(() => heard.all.at(-1)?.type === 'mining_on', { what: 'mining on' });
    expect(heard.all.slice(1)).toEqual([
      { type: 'block_subtrees_set', hash: tip },
      { type: 'peer_failure', peerId: '12D3Koo', failureType: 'catchup', reason: 'x'.repeat(1024) },
      { type: 'fsm_state', state: 'CATCHINGBLOCKS' },
      { type: 'subtree', hash: expect.stringMatching(/^[0-9a-f]{64}$/) },
      { type: 'block', hash },
      { type: 'mining_on', hash },
    ]);
    expect(['ping', 'block_subtrees_set', 'unknown', 'malformed', 'block'].map(kinds)).toEqual([1, 1, 1, 0, 2]);
  });

  test('of a block say when its subtrees are not stored yet', async () => {
    const { service, heard, tip } = await scene();
    await service.setSubtrees(false);
    const { hash } = await service.mine();
    await heardBlocks(heard, [tip, hash]);
    expect(heard.all).toContainEqual({ type: 'block', hash, subtreesSet: false });
  });

  test.each([
    ['a block with half a hash', { type: NotificationType.Block, hash: 'abcd' }],
    ['a state without a name', { type: NotificationType.FSMState }],
    ['a state of another machine', { type: NotificationType.FSMState, metadata: { destination: 'PARTYING' } }],
  ])(
    'a malformed one (%s) is counted, and the state that it may have announced is read',
    async (_what, notification) => {
      const { client, service, heard, tip, metrics } = await scene();
      await service.mute(true);
      const { hash } = await service.mine();
      await service.notify(notification);
      await heardBlocks(heard, [tip, hash]);
      expect(metrics.count('teranode_p2p_rpc_notifications_total', { kind: 'malformed' })).toBe(1);
      expect(client.lastFsmState()).toBe('RUNNING');
    },
  );

  test('a hash in the wrong byte order, or of no block, is not announced', async () => {
    const { service, heard, tip } = await scene();
    await service.notify({ type: NotificationType.Block, hash: (await service.best()).hash });
    await service.notify({ type: NotificationType.Block, hash: '00'.repeat(32) });
    const { hash } = await service.mine();
    await heardBlocks(heard, [tip, hash]);
  });

  test('the FSM state is known, and a change during an outage is announced', async () => {
    const { client, service, heard } = await scene();
    expect(client.lastFsmState()).toBe('RUNNING');
    await service.setFsmState('LEGACYSYNCING');
    await waitFor(() => client.lastFsmState() === 'LEGACYSYNCING', { what: 'the state' });
    await service.mute(true);
    await service.endSubscriptions('UNAVAILABLE');
    await service.setFsmState('RUNNING');
    await waitFor(() => client.lastFsmState() === 'RUNNING', { what: 'the state after the gap' });
    expect(heard.all.slice(1)).toEqual([
      { type: 'fsm_state', state: 'LEGACYSYNCING' },
      { type: 'fsm_state', state: 'RUNNING' },
    ]);
  });

  test('a change of the FSM state that the service did not announce is found', async () => {
    const { service, heard } = await scene();
    await service.mute(true);
    await service.setFsmState('CATCHINGBLOCKS');
    await waitFor(() => heard.all.length > 1, { what: 'the state' });
    expect(heard.all.slice(1)).toEqual([{ type: 'fsm_state', state: 'CATCHINGBLOCKS' }]);
  });

  test('a message that is too large ends the stream but not the subscription', async () => {
    const { service, heard, tip } = await scene();
    await service.notify({ type: 99, hash: '00'.repeat(3 * 1024 * 1024) });
    const { hash } = await service.mine();
    await heardBlocks(heard, [tip, hash]);
  });
});
