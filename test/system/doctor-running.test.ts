// doctor beside a running node, which it asks; and what a node shows of a feed that went silent.
import { chmodSync } from 'node:fs';
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { runCli } from '../support/cli.ts';
import { busNode, busPeer, goP2pNode, goP2pPeer, runDoctor, startDataHub, statusText } from '../support/doctor.ts';
import { freePort, KafkaBroker } from '../support/kafka-broker.ts';
import { kafkaSettings, topicsOf } from '../support/network.ts';
import { ServerProcess } from '../support/server-process.ts';
import { waitFor } from '../support/wait.ts';

const NETWORK = ['bootstrap', 'prefix_and_wire', 'topics', 'mesh', 'last_messages', 'clock'];

async function startNode(settings: Record<string, string>): Promise<ServerProcess> {
  const server = await ServerProcess.start({ settings });
  onTestFinished(async () => void (await server.stop()));
  return server;
}

function doctorOf({ settings, dataFolder }: ServerProcess, changes: Record<string, string> = {}) {
  return runDoctor({ ...settings, dataFolder, ...changes });
}

test.each([
  ['go-p2p', async () => goP2pNode(await startDataHub(), (await goP2pPeer()).addresses[0] ?? '')],
  ['message-bus', async () => busNode(await startDataHub(), (await busPeer()).address)],
] as const)('everything is ok beside a healthy node of %s', async (_wire, settings) => {
  const server = await startNode(await settings());
  await waitFor(async () => (await server.metric('teranode_p2p_connected_peers')) === 1, { what: 'the peer' });
  const { status, failed, checks } = await doctorOf(server);
  expect({ status, failed }).toEqual({ status: 0, failed: [] });
  for (const name of [...NETWORK, 'node_settings', 'health', 'hang_ups', 'admin_key', 'datahub'])
    expect(checks[name]).toMatchObject({ name, ok: true });
  expect(checks.health?.found).toBe('the running node is ready');
});

test('a feed that went silent is shown by readiness, metric, log and doctor, and so is its recovery', async () => {
  const peer = await goP2pPeer({ isSilent: true });
  const settings = { ...goP2pNode(await startDataHub(), peer.addresses[0] ?? ''), p2p_silent_after: '2s' };
  const server = await startNode(settings);
  const events = (event: string) => server.output.json.filter((line) => `${line.event}`.startsWith(event));
  await waitFor(() => events('feed went silent').length > 0, { what: 'the warning' });
  expect(await server.metric('teranode_p2p_feed_silent ')).toBe(1);
  const { status, body } = await server.get('/health/ready');
  expect(status).toBe(200);
  expect(body).toMatch(
    /feed: ok \(degraded: no valid message for \d+ s; connected peers that share topics: 1; run doctor\)/,
  );
  const found = await doctorOf(server);
  expect(found.failed).toEqual(['last_messages']);
  expect(found.checks.last_messages).toMatchObject({
    found: expect.stringMatching(/no valid message for 1\d s/),
    advice: expect.stringContaining('list other full nodes'),
  });

  await peer.publish(topicsOf('regtest').nodeStatus, statusText(peer.peerId));
  await waitFor(() => events('feed recovered').length > 0, { what: 'the recovery' });
  expect(events('feed went silent')).toHaveLength(1);
});

test('a peer that hangs up because it has banned this node is named, with this node’s peer ID', async () => {
  const dataHub = await startDataHub();
  const other = await startNode(goP2pNode(dataHub, ''));
  const node = await startNode(goP2pNode(dataHub, other.address));
  await waitFor(async () => (await node.metric('teranode_p2p_connected_peers')) === 1, { what: 'the connection' });
  const { dataFolder } = other;
  const ban = await runCli(['bans', 'add', node.peerId, '--for', '1h'], { ...other.settings, dataFolder });
  expect(ban.status).toBe(0);
  await waitFor(async () => (await node.metric('teranode_p2p_connected_peers')) === 0, { what: 'the hang-up' });
  const { failed, checks } = await doctorOf(node);
  expect(failed).toEqual(['hang_ups']);
  expect(checks.hang_ups).toMatchObject({
    found: expect.stringContaining(other.peerId),
    advice: expect.stringContaining(`lift the ban of ${node.peerId}`),
  });
});

test('an advertised address that does not lead to the node, and an open key file, are named', async () => {
  const settings = {
    ...goP2pNode(await startDataHub(), (await goP2pPeer()).addresses[0] ?? ''),
    p2p_advertise_addresses: `127.0.0.1:${await freePort()}`,
  };
  const server = await startNode(settings);
  chmodSync(join(server.dataFolder, 'admin.key'), 0o644);
  const { failed, checks } = await doctorOf(server);
  expect(failed).toEqual(['nat', 'admin_key']);
  expect(checks.nat).toMatchObject({
    found: expect.stringMatching(/127\.0\.0\.1\/tcp\/\d+.*connection refused/),
    advice: expect.stringContaining('correct p2p_advertise_addresses'),
  });
  expect(checks.admin_key?.advice).toMatch(/^chmod 600 .*admin\.key$/);
});

test('Kafka topics that the settings name and the brokers do not have are named', async () => {
  const broker = await KafkaBroker.start();
  onTestFinished(() => broker.kill());
  const peer = await busPeer();
  const server = await startNode({ ...busNode(await startDataHub(), peer.address), ...kafkaSettings(broker.address) });
  const blocks = `kafka://${broker.address}/other-blocks?partitions=1&replication=1`;
  expect((await doctorOf(server)).checks.kafka).toMatchObject({ ok: true, found: expect.stringContaining('5 topics') });
  const { failed, checks } = await doctorOf(server, { kafka_blocksConfig: blocks });
  expect(failed).toEqual(['node_settings', 'kafka']);
  expect(checks.node_settings?.found).toContain('kafka_blocksConfig is kafka://');
  expect(checks.kafka).toMatchObject({
    found: expect.stringContaining('missing topics: other-blocks'),
    advice: expect.stringContaining('kafka-topics.sh --create --topic other-blocks'),
  });
});

test('settings that the running node does not have are named as doctor’s own, with both values', async () => {
  const server = await startNode({
    ...busNode(await startDataHub(), ''),
    ...{ p2p_bootstrap_peers: 'none', p2p_wire: 'message-bus', p2p_http_listen_address: '0.0.0.0:0' },
  });
  const same = await doctorOf(server);
  expect(same.checks.node_settings).toMatchObject({
    ok: true,
    found: expect.stringMatching(/^the settings that doctor judged by are those of the node \(\d+ compared\)/),
  });
  const { checks, failed } = await doctorOf(server, {
    ...{ network: 'testnet', p2p_wire: 'go-p2p', p2p_shared_key: '', p2p_dht_use_private: 'false', p2p_port: '9999' },
    ...{ blockchain_grpcAddress: '127.0.0.1:1', logLevel: 'ERROR' },
  });
  expect(failed).toContain('node_settings');
  const { found = '', advice = '' } = checks.node_settings ?? {};
  expect(found).toMatch(/network is regtest there and testnet here/);
  expect(found).toMatch(/p2p_wire is message-bus there and go-p2p here/);
  expect(found).toMatch(/blockchain_grpcAddress is \(unset\) there and 127\.0\.0\.1:1 here/);
  expect(found).toMatch(/p2p_port is 0 there and 9999 here/);
  expect(found).toMatch(/nothing that doctor judges by: logLevel/);
  expect(advice).toContain('environment variables');
  expect(checks.settings?.found).toMatch(/; as loaded by doctor, see node_settings$/);
  expect(checks.ports?.found).not.toContain('9999');
});

test('people read a line for each check and what to do', async () => {
  const settings = { ...busNode(await startDataHub(), ''), p2p_bootstrap_peers: 'none', p2p_wire: 'message-bus' };
  const server = await startNode(settings);
  const { status, stdout, stderr } = await runCli(['doctor'], {
    ...{ ...settings, dataFolder: server.dataFolder, asset_httpPublicAddress: 'http://127.0.0.1:1/api/v1' },
    ...{ p2p_port: '0', p2p_http_listen_address: '127.0.0.1:0', p2p_grpc_listen_address: '127.0.0.1:0' },
  });
  expect({ status, stderr }).toEqual({ status: 1, stderr: '' });
  expect(stdout).toMatch(/^ok {6}settings +context dev, network regtest/);
  expect(stdout).toMatch(/^NOT OK {2}datahub +http:\/\/127\.0\.0\.1:1\/api\/v1 does not answer: ECONNREFUSED$/m);
  expect(stdout).toMatch(/^- {7}bootstrap +not asked for: /m);
  expect(stdout).toMatch(/\n\nWhat to do\n {2}node_settings: run doctor with .+\n {2}datahub: start the asset service/);
});
