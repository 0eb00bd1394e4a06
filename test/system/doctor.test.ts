// doctor without a running node: it names the fault in each broken set-up and nothing else, and finds nothing in a
// healthy one. The peers are real Go peers.
import { createServer } from 'node:net';
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest';
import { busNode, busPeer, type Examined, goP2pNode, goP2pPeer, runDoctor, startDataHub } from '../support/doctor.ts';
import { freePort, KafkaBroker } from '../support/kafka-broker.ts';
import { kafkaSettings, PSK, privateNetwork } from '../support/network.ts';
import { ReferenceServiceProcess } from '../support/reference-service-process.ts';

const OTHER_ID = '12D3KooWBCKN3eYmMbJKvnkTuwxh9mWfQvcwpq8py2jk9MsFjT1a';

/** The fault is that of one check, which names it; nothing else is reported. */
function expectFault({ status, failed, checks }: Examined, name: string, found: RegExp, advice: RegExp): void {
  expect({ failed, status, ...checks[name] }).toEqual({
    ...{ failed: [name], status: 1, name, ok: false },
    found: expect.stringMatching(found),
    advice: expect.stringMatching(advice),
  });
}

function expectHealthy({ status, failed, checks }: Examined, named: readonly string[]): void {
  expect({ failed, status }).toEqual({ failed: [], status: 0 });
  for (const name of named) expect(checks[name]).toMatchObject({ name, ok: true });
}

const PRIVATE = privateNetwork('regtest');
const NETWORK = ['bootstrap', 'prefix_and_wire', 'hang_ups', 'topics', 'mesh', 'last_messages', 'clock'];
const ALWAYS = ['settings', 'ports', 'datahub', 'file_descriptors', 'disk'];

describe('a healthy set-up', () => {
  test('of go-p2p: everything is ok', async () => {
    const settings = goP2pNode(await startDataHub(), (await goP2pPeer()).addresses[0] ?? '');
    const found = await runDoctor({
      ...settings,
      p2p_advertise_addresses: '127.0.0.1',
      p2p_port: `${await freePort()}`,
    });
    expectHealthy(found, [...ALWAYS, ...NETWORK, 'shared_key', 'nat']);
    expect(found.checks.last_messages?.found).toMatch(/bitcoin\/regtest-node_status \d s ago/);
    expect(found.checks.clock?.found).toMatch(/node statuses of 1 peers: agrees/);
  });

  test('of message-bus: everything is ok', async () => {
    const found = await runDoctor(busNode(await startDataHub(), (await busPeer()).address));
    expectHealthy(found, [...ALWAYS, ...NETWORK]);
    expect(found.checks.prefix_and_wire?.found).toContain('message-bus with teranode/bitcoin/1.0.0/regtest-block');
    expect(found.checks.shared_key?.ok).toBeNull();
  });
});

describe('a node of both wires', () => {
  test('finds nothing wrong where each wire has a peer, and a static peer speaks one of them only', async () => {
    const [old, bus, static_] = [await goP2pPeer(), await busPeer(), await busPeer()];
    const found = await runDoctor({
      ...busNode(await startDataHub(), bus.address),
      ...{ ...PRIVATE, p2p_wire: 'both', p2p_go_p2p_port: '0', p2p_static_peers: static_.address },
      p2p_bootstrap_addresses: old.addresses[0] ?? '',
    });
    expectHealthy(found, [...ALWAYS, ...NETWORK, 'shared_key']);
    expect(found.checks.bootstrap?.found).toContain('3 of 3 connected');
  });
});

describe('the shared key, prefix and wire', () => {
  test('names a shared key that differs from that of the peer', async () => {
    const settings = goP2pNode(await startDataHub(), (await goP2pPeer()).addresses[0] ?? '');
    const found = await runDoctor({ ...settings, p2p_shared_key: 'ab'.repeat(32) });
    expectFault(found, 'shared_key', /the shared key of the peer probably differs/, /set p2p_shared_key to the key of/);
  });

  test('names the missing shared key of a node without one', async () => {
    const settings = goP2pNode(await startDataHub(), (await goP2pPeer()).addresses[0] ?? '');
    const found = await runDoctor({
      ...settings,
      ...{ p2p_dht_use_private: 'false', p2p_dht_public_bootstrap: '', p2p_shared_key: 'cd'.repeat(32) },
    });
    expectFault(found, 'shared_key', /the peer probably uses a shared key/, /p2p_dht_use_private = true/);
  });

  test('names both topic prefixes when the peer belongs to another network', async () => {
    const peer = await goP2pPeer({ network: 'mainnet' });
    const found = await runDoctor(goP2pNode(await startDataHub(), peer.addresses[0] ?? ''));
    expectFault(
      found,
      'prefix_and_wire',
      /bitcoin\/mainnet-\w+.*this node speaks go-p2p with bitcoin\/regtest-block/,
      /chainCfgParams_topicPrefix = bitcoin\/mainnet/,
    );
  });

  test('names message-bus as the wire of the peer to a node of go-p2p', async () => {
    const found = await runDoctor(goP2pNode(await startDataHub(), (await busPeer()).address));
    expectFault(
      found,
      'prefix_and_wire',
      /teranode\/bitcoin\/1\.0\.0\/regtest-\w+ answers only without a shared key; this node speaks go-p2p with bitcoin/,
      /set p2p_wire = message-bus/,
    );
  });

  test('names both topics when a public go-p2p node is connected to a peer of message-bus', async () => {
    const settings = goP2pNode(await startDataHub(), '');
    const found = await runDoctor({
      ...settings,
      ...{ p2p_dht_use_private: 'false', p2p_dht_public_bootstrap: '', p2p_static_peers: (await busPeer()).address },
    });
    expectFault(
      found,
      'prefix_and_wire',
      /teranode\/bitcoin\/1\.0\.0\/regtest-\w+; this node speaks go-p2p with bitcoin\/regtest-block/,
      /the peer speaks message-bus: set p2p_wire = message-bus/,
    );
  });

  test('names go-p2p as the wire of the peer to a node of message-bus', async () => {
    const peer = await goP2pPeer();
    const found = await runDoctor({ ...busNode(await startDataHub(), peer.addresses[0] ?? ''), p2p_shared_key: PSK });
    expectFault(
      found,
      'prefix_and_wire',
      /bitcoin\/regtest-\w+ answers only with the shared key; this node speaks message-bus/,
      /set p2p_wire = go-p2p/,
    );
  });
});

describe('bootstrap peers', () => {
  test('names an address that refuses connections', async () => {
    const address = `/ip4/127.0.0.1/tcp/${await freePort()}/p2p/${OTHER_ID}`;
    const found = await runDoctor(busNode(await startDataHub(), address));
    expectFault(found, 'bootstrap', /connection refused \(TCP\)/, /check that the address is right/);
  });

  test('names both peer IDs when another peer answers', async () => {
    const peer = await busPeer();
    const found = await runDoctor(busNode(await startDataHub(), peer.address.replace(peer.peerId, OTHER_ID)));
    expectFault(found, 'bootstrap', new RegExp(`expected ${OTHER_ID}, found ${peer.peerId}`), new RegExp(peer.peerId));
  });

  test('names a peer that hangs up because it refuses this node', async () => {
    const peer = await goP2pPeer({ allow: [OTHER_ID] });
    const found = await runDoctor(goP2pNode(await startDataHub(), peer.addresses[0] ?? ''));
    expectFault(found, 'hang_ups', new RegExp(peer.peerId), /ask its operator to lift the ban of 12D3Koo/);
  });

  test('names a peer that ends every connection before the handshake', async () => {
    const closing = createServer((socket) => socket.destroy());
    await new Promise<void>((resolve) => closing.listen(0, '127.0.0.1', resolve));
    onTestFinished(() => void closing.close());
    const { port } = closing.address() as { readonly port: number };
    const found = await runDoctor(goP2pNode(await startDataHub(), `/ip4/127.0.0.1/tcp/${port}/p2p/${OTHER_ID}`));
    expectFault(found, 'hang_ups', /the peer ended the connection/, /ask its operator to lift the ban/);
  });

  test('names peers that are connected and silent', async () => {
    const peer = await goP2pPeer({ isSilent: true });
    const found = await runDoctor({ ...goP2pNode(await startDataHub(), peer.addresses[0] ?? '') });
    expectFault(found, 'last_messages', /no valid message for 1\d s/, /list other full nodes/);
    expect(found.checks.mesh?.ok).toBe(true);
  });
});

describe('the machine', () => {
  test('names a port that is taken, and who has it', async () => {
    const taken = createServer();
    await new Promise<void>((resolve) => taken.listen(0, '127.0.0.1', resolve));
    onTestFinished(() => void taken.close());
    const { port } = taken.address() as { readonly port: number };
    const settings = busNode(await startDataHub(), (await busPeer()).address);
    const found = await runDoctor({ ...settings, p2p_port: `${port}` });
    expectFault(found, 'ports', new RegExp(`port ${port} of p2p_port .* by \\S+ \\(pid ${process.pid}\\)`), /p2p_port/);
  });

  test('names an advertised address that does not lead to this node', async () => {
    const settings = busNode(await startDataHub(), (await busPeer()).address);
    const found = await runDoctor({ ...settings, p2p_advertise_addresses: `127.0.0.1:${await freePort()}` });
    expectFault(found, 'nat', /127\.0\.0\.1\/tcp\/\d+: .*ECONNREFUSED/, /forward the port to this machine/);
  });

  test('names a clock that differs from those of others', async () => {
    const ahead = await startDataHub(() => Date.now() + 3_600_000);
    // No peer that tells its time: only the DataHub does.
    const found = await runDoctor({ ...busNode(ahead, ''), p2p_bootstrap_peers: 'none' });
    expectFault(found, 'clock', /Date of http:.*this machine is 3\d\d\d s behind/, /set the clock of this machine/);
  });

  test('names each setting that does not load, and checks nothing else', async () => {
    const found = await runDoctor({ p2p_wire: 'carrier-pigeon' });
    expectFault(found, 'settings', /p2p_wire = carrier-pigeon .*expected: go-p2p or message-bus/, /docs\/settings\.md/);
    expect(Object.keys(found.checks)).toEqual(['settings']);
  });
});

describe('services', () => {
  let broker: KafkaBroker;

  beforeAll(async () => {
    broker = await KafkaBroker.start();
  });

  afterAll(() => broker?.kill());

  /** A node with a good network around it. */
  async function node(): Promise<Record<string, string>> {
    return busNode(await startDataHub(), (await busPeer()).address);
  }

  test('finds nothing wrong with services that answer', async () => {
    const services = await ReferenceServiceProcess.start();
    onTestFinished(() => services.stop());
    const found = await runDoctor({
      ...(await node()),
      ...kafkaSettings(broker.address),
      blockchain_grpcAddress: services.address,
      blockvalidation_grpcAddress: services.address,
      blockassembly_grpcAddress: services.address,
    });
    expectHealthy(found, ['kafka', 'blockchain', 'validation_services']);
    expect(found.checks.blockchain?.found).toMatch(/FSM RUNNING, height \d+, regtest/);
  });

  test('names brokers that are down', async () => {
    const found = await runDoctor({ ...(await node()), ...kafkaSettings(`127.0.0.1:${await freePort()}`) });
    expectFault(found, 'kafka', /ECONNREFUSED.*without TLS/, /start the brokers/);
  });

  test('names TLS that the brokers do not speak', async () => {
    const found = await runDoctor({ ...(await node()), ...kafkaSettings(broker.address), KAFKA_ENABLE_TLS: 'true' });
    expectFault(found, 'kafka', new RegExp(`${broker.address}.*with TLS`), /set KAFKA_ENABLE_TLS = false/);
  });

  test('names a blockchain service that is down', async () => {
    const address = `127.0.0.1:${await freePort()}`;
    const found = await runDoctor({ ...(await node()), blockchain_grpcAddress: address });
    expectFault(found, 'blockchain', new RegExp(address), /start the blockchain service/);
  });

  test('names the network of a blockchain service of another one', async () => {
    const services = await ReferenceServiceProcess.start({ network: 'mainnet' });
    onTestFinished(() => services.stop());
    const found = await runDoctor({ ...(await node()), blockchain_grpcAddress: services.address });
    expectFault(
      found,
      'blockchain',
      /does not have the genesis block of regtest, but that of mainnet/,
      /set network to that of the blockchain service \(mainnet\)/,
    );
  });

  test('names an FSM that stays IDLE', async () => {
    const services = await ReferenceServiceProcess.start();
    onTestFinished(() => services.stop());
    await services.setFsmState('IDLE');
    const found = await runDoctor({ ...(await node()), blockchain_grpcAddress: services.address });
    expectFault(found, 'blockchain', /FSM IDLE.*waits until the FSM leaves IDLE/, /set the FSM .* to RUNNING/);
  });

  test('names block validation that is down', async () => {
    const found = await runDoctor({
      ...(await node()),
      blockvalidation_grpcAddress: `127.0.0.1:${await freePort()}`,
    });
    expectFault(found, 'validation_services', /blockvalidation: /, /start blockvalidation/);
  });

  test('names a DataHub that is down', async () => {
    const url = `http://127.0.0.1:${await freePort()}/api/v1`;
    const found = await runDoctor({ ...(await node()), asset_httpPublicAddress: url });
    expectFault(found, 'datahub', /does not answer: ECONNREFUSED/, /start the asset service/);
  });

  test('names a DataHub whose URL is private in a public network', async () => {
    const peer = await busPeer({ network: 'mainnet' });
    const found = await runDoctor({
      ...busNode(await startDataHub(), ''),
      ...{ network: 'mainnet', p2p_bootstrap_peers: peer.address, p2p_allow_private_datahubs: 'false' },
      p2p_listen_addresses: '0.0.0.0',
    });
    expectFault(found, 'datahub', /is not public: 127\.0\.0\.1 is private/, /set asset_httpPublicAddress to a URL/);
  });
});
