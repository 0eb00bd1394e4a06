// A banned machine is not reached by a name either, however the name was learned.
import { afterEach, expect, test } from 'vitest';
import { Libp2pNode } from '../../src/adapters/libp2p/libp2p-node.ts';
import { systemClock } from '../../src/ports/clock.ts';
import { RecordedMetrics, recordingLogger } from '../fakes/recorders.ts';
import { addressOf, Nodes, nodeOptions, TOPICS } from '../support/nodes.ts';
import { waitFor } from '../support/wait.ts';

const nodes = new Nodes();
const watchers: Libp2pNode[] = [];

afterEach(async () => {
  await Promise.all(watchers.splice(0).map((node) => node.stop()));
  await nodes.stop();
});

/** A node that announces no address, and refuses an IP while the test says so. */
async function startWatcher(refused: Set<string>, bootstrap: string) {
  const metrics = new RecordedMetrics();
  const node = new Libp2pNode(
    {
      log: recordingLogger(),
      metrics,
      clock: systemClock,
      random: Math.random,
      policy: {
        refusesAddress: (ip) => refused.has(ip),
        refusesPeer: () => false,
        connectionOpened: () => {},
        malformedRpc: () => {},
      },
    },
    await nodeOptions({ sharePrivateAddresses: false, bootstrapAddresses: [bootstrap] }),
  );
  watchers.push(node);
  await node.start(new AbortController().signal, undefined, TOPICS);
  return { node, metrics };
}

test('a name learned from the DHT is not dialled while its IP is banned, and is dialled afterwards', async () => {
  const bootstrap = (await nodes.start({ listenIps: ['127.0.0.3'] })).node;
  const named = (await nodes.start({ advertiseAddresses: ['localhost'], bootstrapAddresses: [addressOf(bootstrap)] }))
    .node;
  await waitFor(() => named.currentlyConnectedPeers().length === 1, { what: 'the way to the bootstrap node' });

  const refused = new Set(['127.0.0.1', '::1']);
  const { node: watcher, metrics } = await startWatcher(refused, addressOf(bootstrap));
  const refusals = () => metrics.count('teranode_p2p_connections_refused_total', { reason: 'banned_address' });
  await waitFor(() => refusals() > 0, { timeoutMs: 20_000, what: 'a refused dial' });
  const ids = () => watcher.currentlyConnectedPeers().map(({ id }) => id);
  expect(ids()).toEqual([bootstrap.hostId()]);
  expect(named.currentlyConnectedPeers().map(({ id }) => id)).toEqual([bootstrap.hostId()]);

  refused.clear();
  await waitFor(() => ids().includes(named.hostId()), { timeoutMs: 25_000, what: 'the way to the named node' });
  const record = watcher.currentlyConnectedPeers().find(({ id }) => id === named.hostId());
  expect(record?.addresses[0]).toMatch(/^\/ip[46]\/(127\.0\.0\.1|::1)\/tcp\/\d+\/p2p\//);
});
