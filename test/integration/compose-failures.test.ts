// What compose opened is closed again when it fails, and what a slow part costs the others at stop.
import { afterEach, describe, expect, test, vi } from 'vitest';
import { EmbeddedChain } from '../../src/adapters/embedded-chain/embedded-chain.ts';
import { ServiceChannel } from '../../src/adapters/services/service-channel.ts';
import { type AppOptions, compose } from '../../src/app/compose.ts';
import type { PeerId } from '../../src/domain/ids.ts';
import { systemClock } from '../../src/ports/clock.ts';
import type { P2PNode } from '../../src/ports/p2p-node.ts';
import { loadSettings } from '../../src/settings/load.ts';
import { NETWORKS } from '../../src/wire/networks.ts';
import { recordingLogger } from '../fakes/recorders.ts';
import { temporaryFolder } from '../support/cleanup.ts';
import { REPO } from '../support/repo.ts';

afterEach(() => {
  vi.restoreAllMocks();
});

function settingsWith(env: Record<string, string> = {}) {
  return loadSettings({
    folder: REPO,
    env: {
      dataFolder: temporaryFolder('compose'),
      p2p_http_listen_address: '127.0.0.1:0',
      p2p_grpc_listen_address: '127.0.0.1:0',
      embedded_chain_lone_mine_interval: '',
      ...env,
    },
  }).settings;
}

/** A node that listens nowhere. */
function quietNode(id: string, changes: Partial<P2PNode> = {}): P2PNode {
  return {
    start: async () => {},
    stop: async () => {},
    setTopicHandler: () => {},
    getTopic: () => undefined,
    publish: async () => 'published',
    hostId: () => id as PeerId,
    listenAddresses: () => [],
    currentlyConnectedPeers: () => [],
    connectPeer: async () => id as PeerId,
    disconnectPeer: async () => {},
    sendToPeer: async () => {},
    setPeerConnectedCallback: () => {},
    setPeerDisconnectedCallback: () => {},
    retryDials: () => {},
    ...changes,
  };
}

const ownNode =
  (changes: Partial<P2PNode> = {}): NonNullable<AppOptions['node']> =>
  (_deps, { privateKey }) =>
    quietNode(privateKey.publicKey.toString(), changes);

describe('failed compose', () => {
  test('closes its clients, and releases the data folder even when the chain cannot be stopped', async () => {
    const settings = settingsWith({
      blockvalidation_grpcAddress: '127.0.0.1:1',
      blockassembly_grpcAddress: '127.0.0.1:1',
    });
    const log = recordingLogger();
    const chain = new EmbeddedChain(
      { log, clock: systemClock },
      { network: NETWORKS.regtest, path: ':memory:', headersFile: undefined, mineIntervalMs: undefined, minerText: '' },
    );
    const closed = vi.spyOn(ServiceChannel.prototype, 'close');
    const stop = chain.stop.bind(chain);
    chain.stop = async () => {
      await stop();
      throw new Error('the disk is gone');
    };
    const broken = { ...settings, kafka_blocksConfig: 'nonsense' };
    await expect(compose(broken, { log, blockchain: chain, node: ownNode() })).rejects.toMatchObject({
      message: expect.stringContaining('kafka://'),
    });
    expect(closed).toHaveBeenCalledTimes(2);
    const again = await compose(settings, { log, node: ownNode() });
    await again.stop();
  });
});

describe('stop of a composed server', () => {
  test('flushes Kafka in time when a node never stops, and ends within five seconds', async () => {
    let hasFlushed = false;
    const blockProducer = {
      start: async () => {},
      publish: () => {},
      probe: async () => ({ ok: true, details: '' }),
      stop: async () => {
        await new Promise((resolve) => setTimeout(resolve, 1200));
        hasFlushed = true;
      },
    };
    const log = recordingLogger();
    const never = () => new Promise<void>(() => {});
    const app = await compose(settingsWith(), { log, blockProducer, node: ownNode({ stop: never }) });
    await app.start(AbortSignal.timeout(30_000));
    const startedMs = performance.now();
    await app.stop();
    expect(hasFlushed).toBe(true);
    expect(performance.now() - startedMs).toBeLessThan(5000);
    expect(log.lines.filter(({ event }) => event === 'failed to stop part').map(({ fields }) => fields.part)).toEqual([
      'nodes',
    ]);
  });
});
