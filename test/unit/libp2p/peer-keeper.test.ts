// A stop that comes while the peer cache is being read.
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { DialStages } from '../../../src/adapters/libp2p/connections/dial-stage.ts';
import { OperatorAddresses } from '../../../src/adapters/libp2p/connections/operator-addresses.ts';
import { PeerBook } from '../../../src/adapters/libp2p/connections/peer-book.ts';
import { PeerKeeper, type PeerKeeperDependencies } from '../../../src/adapters/libp2p/discovery/peer-keeper.ts';
import { peer } from '../../fakes/ban-parts.ts';
import { FakeClock, RecordedMetrics, recordingLogger } from '../../fakes/recorders.ts';
import { temporaryFolder } from '../../support/cleanup.ts';
import { nodeOptions, TOPICS } from '../../support/nodes.ts';

test('a stop during the start leaves nothing running: no dial, no lookup, no listener', async () => {
  const calls: string[] = [];
  const note = (call: string) => () => {
    calls.push(call);
    return new Promise(() => {});
  };
  const libp2p = {
    dial: note('dial'),
    addEventListener: note('listener'),
    services: { dht: { provide: note('provide'), findProviders: note('lookup') } },
  } as unknown as PeerKeeperDependencies['libp2p'];
  const options = await nodeOptions({
    staticPeers: [`/ip4/192.0.2.1/tcp/9905/p2p/${peer(1)}`],
    peerCache: { file: join(temporaryFolder('cache'), 'peers.json'), maxPeers: 10, ttlMs: 60_000 },
  });
  const common = { log: recordingLogger(), metrics: new RecordedMetrics(), clock: new FakeClock(), random: () => 0.5 };
  const keeper = new PeerKeeper(
    {
      ...common,
      libp2p,
      book: new PeerBook(),
      stages: new DialStages(true),
      ownId: peer(2),
      operators: new OperatorAddresses(),
    },
    { ...options, topicNames: TOPICS },
  );
  const starting = keeper.start();
  await keeper.stop();
  await starting;
  expect(calls).toEqual([]);
});
