import { expect, test } from 'vitest';
import type { BlockHash, PeerId } from '../../../src/domain/ids.ts';
import { dataHubUrlCheck } from '../../../src/peers/datahub/datahub-url.ts';
import { EndpointDirectory } from '../../../src/peers/endpoint-directory.ts';
import { PeerRegistry } from '../../../src/peers/registry.ts';
import type { DataHubAnswer, FetchedHeader, FetchFault } from '../../../src/ports/datahub-client.ts';
import { FakeClock, RecordedMetrics, recordingLogger } from '../../fakes/recorders.ts';

const GENESIS = 'ab'.repeat(32) as BlockHash;
const FOUND: DataHubAnswer<FetchedHeader> = { ok: true, value: { hash: GENESIS, header: new Uint8Array(80) } };
const fault = (name: FetchFault): DataHubAnswer<FetchedHeader> => ({ ok: false, fault: name, details: '' });

function setUp(answers: Readonly<Record<string, DataHubAnswer<FetchedHeader>>>) {
  const clock = new FakeClock();
  const metrics = new RecordedMetrics();
  const registry = new PeerRegistry({ clock, metrics });
  const asked: string[] = [];
  const client = {
    header: async (url: string, hash: BlockHash) => {
      asked.push(`${url} ${hash === GENESIS}`);
      return answers[url] ?? fault('unreachable');
    },
  };
  const urlFault = dataHubUrlCheck({ allowsPrivate: false, blacklist: [] });
  const directory = new EndpointDirectory(
    { registry, client, clock, log: recordingLogger(), metrics },
    { genesisHash: GENESIS, allowsPrivate: false, urlFault },
  );
  const round = async () => {
    directory.round();
    await new Promise((resolve) => setImmediate(resolve));
  };
  const checkedOf = (url: string) => directory.list().find((each) => each.url === url)?.checked;
  return { clock, registry, directory, asked, round, checkedOf, metrics };
}

const peer = (n: number) => `12D3KooWPeer${n}` as PeerId;

test('a peer has a row for each URL, with what it says about itself', () => {
  const { registry, directory, clock } = setUp({});
  registry.connected(peer(1));
  registry.heard(peer(1), {
    dataHubUrl: 'https://a.example/api/v1',
    propagationUrl: 'https://a.example/tx',
    clientName: 'miner',
    version: 'v1.2.3',
    storage: 'full',
    minMiningTxFee: 0.00000001,
    claimed: { height: 7, hash: undefined },
  });
  const common = {
    peerId: peer(1),
    isConnected: true,
    clientName: 'miner',
    version: 'v1.2.3',
    storage: 'full',
    minMiningTxFee: 0.00000001,
    height: 7,
    lastSeenMs: clock.now(),
    checked: {
      public: undefined,
      answers: undefined,
      sameGenesis: undefined,
      reason: 'not checked yet',
      atMs: undefined,
    },
  };
  expect(directory.list()).toMatchObject([
    { kind: 'datahub', url: 'https://a.example/api/v1', ...common },
    { kind: 'propagation', url: 'https://a.example/tx', ...common },
  ]);
});

test.each([
  ['has the genesis block', FOUND, { public: true, answers: true, sameGenesis: true, reason: 'ok' }],
  ['does not know it', fault('not_found'), { public: true, answers: true, sameGenesis: false, reason: 'not_found' }],
  ['has an error', fault('status'), { public: true, answers: true, sameGenesis: undefined, reason: 'status' }],
  ['is down', fault('timeout'), { public: undefined, answers: false, sameGenesis: undefined, reason: 'timeout' }],
])('a DataHub that %s is shown so', async (_what, answer, checked) => {
  const url = 'https://a.example/api/v1';
  const { registry, round, checkedOf, asked, clock } = setUp({ [url]: answer });
  registry.heard(peer(1), { dataHubUrl: url });
  await round();
  expect(asked).toEqual([`${url} true`]);
  expect(checkedOf(url)).toEqual({ ...checked, atMs: clock.now() });
});

test('any answer is a good one of a propagation service', async () => {
  const url = 'https://a.example/tx';
  const { registry, round, checkedOf } = setUp({ [url]: fault('not_found') });
  registry.heard(peer(1), { propagationUrl: url });
  await round();
  expect(checkedOf(url)).toMatchObject({ public: true, answers: true, sameGenesis: undefined, reason: 'ok' });
});

test('a private URL is not requested, and known not to be public', async () => {
  const url = 'http://10.0.0.1/tx';
  const { registry, round, checkedOf, asked } = setUp({});
  registry.heard(peer(1), { propagationUrl: url });
  await round();
  expect(asked).toEqual([]);
  expect(checkedOf(url)).toMatchObject({ public: false, answers: undefined, reason: 'private' });
});

test('a machine is asked once per half a minute, whatever peers announce, and a URL again after ten minutes', async () => {
  const { registry, round, asked, clock } = setUp({});
  for (let n = 0; n < 50; n += 1) registry.heard(peer(n), { dataHubUrl: `https://a.example/${n}` });
  for (let i = 0; i < 5; i += 1) await round();
  expect(asked).toHaveLength(1);
  clock.advance(30_001);
  for (let i = 0; i < 5; i += 1) await round();
  expect(asked).toHaveLength(2);
  expect(new Set(asked).size).toBe(2);
});

test('a result is renewed after ten minutes', async () => {
  const url = 'https://a.example/api/v1';
  const { registry, round, asked, clock } = setUp({ [url]: FOUND });
  registry.connected(peer(1));
  registry.heard(peer(1), { dataHubUrl: url });
  await round();
  clock.advance(599_999);
  await round();
  expect(asked).toHaveLength(1);
  clock.advance(1);
  await round();
  expect(asked).toHaveLength(2);
});

test('after the stop nobody is asked', async () => {
  const { registry, round, asked, directory } = setUp({});
  registry.heard(peer(1), { dataHubUrl: 'https://a.example/api/v1' });
  directory.stop();
  await round();
  expect(asked).toEqual([]);
});
