// Bans in force against real Go peers: by IP, by subnet, by peer id; what a ban ends, what it refuses, and that lifting
// it lets everybody back.
import { generateKeyPairSync } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { admin, bannedKeys, command } from '../support/admin.ts';
import { temporaryFolder } from '../support/cleanup.ts';
import { GoPeer } from '../support/go-peer.ts';
import { allTopics, PSK, privateNetwork, subtreeFields, topicsOf } from '../support/network.ts';
import { ReferenceServiceProcess } from '../support/reference-service-process.ts';
import { ServerProcess } from '../support/server-process.ts';
import { waitFor } from '../support/wait.ts';

const SECOND = 1000;
const topics = topicsOf('regtest');
const SETTINGS = privateNetwork('regtest');

/** An Ed25519 key as Go reads it: seed and public half. */
function newKey(): string {
  const { d = '', x = '' } = generateKeyPairSync('ed25519').privateKey.export({ format: 'jwk' });
  return Buffer.concat([Buffer.from(d, 'base64url'), Buffer.from(x, 'base64url')]).toString('hex');
}

/** Times that the server said that this peer is connected, from addresses that begin so. */
function arrivals(server: ServerProcess, peerId: string, address = ''): number {
  return server.output.json.filter(
    (line) => line.event === 'peer connected' && line.peerId === peerId && String(line.address).startsWith(address),
  ).length;
}

describe('a banned Go peer', () => {
  let server: ServerProcess;
  /** Over IPv6 alone: a peer refused at one address tries the others that it knows. */
  let server6: ServerProcess;
  let innocent: GoPeer;

  beforeAll(async () => {
    server = await ServerProcess.start({ settings: SETTINGS });
    server6 = await ServerProcess.start({ settings: { ...SETTINGS, p2p_listen_addresses: '::1' } });
    innocent = await GoPeer.start({ psk: PSK, topics: allTopics('regtest') });
    await innocent.connect(server.address);
  });

  afterAll(async () => {
    await Promise.all([innocent?.stop(), server?.stop(), server6?.stop()]);
  });

  test.each([
    ['its IP', '/ip4/127.0.0.2', '/ip4/127.0.0.2', () => '127.0.0.2', '127.0.0.2', '/ip4/127.0.0.2/'],
    ['its /24', '/ip4/127.0.7.9', '/ip4/127.0.7.200', () => '127.0.7.1/24', '127.0.7.0/24', '/ip4/127.0.7.'],
    ['its IPv6 /64', '/ip6/::1', '/ip6/::1', () => '::1/64', '::/64', '/ip6/'],
    ['its peer id', '/ip4/127.0.0.1', '/ip4/127.0.0.3', (peerId: string) => peerId, undefined, ''],
  ])(
    'by %s is disconnected within a second, refused when it reconnects, and accepted after an unban',
    async (_name, at, later, spelled, canonical, banned) => {
      const privateKey = newKey();
      const start = (ip: string) =>
        GoPeer.start({ psk: PSK, listen: [`${ip}/tcp/0`], topics: allTopics('regtest'), privateKey });
      const target = at.startsWith('/ip6') ? server6 : server;
      let peer = await start(at);
      const key = spelled(peer.peerId);
      const connect = () => peer.connect(target.address).catch(() => undefined);
      try {
        await connect();
        await waitFor(() => arrivals(target, peer.peerId) === 1, { what: 'the peer at the server' });

        await admin(target, 'bans', 'add', key);
        await waitFor(async () => !(await peer.isConnectedTo(target.peerId)), { timeoutMs: SECOND, what: 'the cut' });
        expect(await bannedKeys(target)).toEqual([canonical ?? peer.peerId]);

        // Started anew, so that it really comes from its address: right after a cut Go takes another one of the
        // machine's.
        await peer.stop();
        peer = await start(later);
        const refusals = () => target.metric('teranode_p2p_connections_refused_total', 'reason="banned_');
        const refused = await refusals();
        await waitFor(
          async () => {
            // Go may come from another address of the machine, which nobody banned: then it tries again.
            await peer.disconnect(target.peerId);
            await connect();
            return (await refusals()) > refused;
          },
          { what: 'the refusal' },
        );
        // Go takes a connection for made once its own handshake is over, and then sees it closed.
        const arrived = arrivals(target, peer.peerId, banned);
        expect(arrived).toBe(1);
        expect(await innocent.isConnectedTo(server.peerId)).toBe(true);

        await admin(target, 'bans', 'remove', key);
        expect(await bannedKeys(target)).toEqual([]);
        await waitFor(
          async () => {
            await connect();
            return (await peer.isConnectedTo(target.peerId)) && arrivals(target, peer.peerId) >= 2;
          },
          { what: 'the way back' },
        );
      } finally {
        await peer.stop();
        await admin(target, 'bans', 'clear', '--yes');
      }
    },
  );

  test('has its messages dropped when others forward them, without a penalty for those', async () => {
    const author = await GoPeer.start({ psk: PSK, topics: allTopics('regtest'), allow: [innocent.peerId] });
    try {
      await author.connect(innocent.addresses[0] ?? '');
      await waitFor(async () => (await author.mesh()).mesh[topics.subtree]?.includes(innocent.peerId), {
        what: 'the mesh of the two',
      });
      await waitFor(async () => (await innocent.mesh()).mesh[topics.subtree]?.includes(server.peerId), {
        what: 'the mesh with the server',
      });
      const passed = () => server.metric('teranode_p2p_gossip_messages_total', 'reason="processed"', 'topic="subtree"');
      const dropped = () => server.metric('teranode_p2p_gossip_messages_total', 'reason="banned_author"');
      await author.publish(topics.subtree, JSON.stringify(subtreeFields(author.peerId)));
      await waitFor(async () => (await passed()) === 1, { what: 'the first subtree' });
      await admin(server, 'bans', 'add', author.peerId);
      await author.publish(topics.subtree, JSON.stringify(subtreeFields(author.peerId)));
      await waitFor(async () => (await dropped()) === 1, { what: 'the second subtree' });
      expect(await passed()).toBe(1);
      expect(await innocent.isConnectedTo(server.peerId)).toBe(true);
      expect((await admin(server, 'bans', 'explain', innocent.peerId))[0]).toMatchObject({ scores: [], inForce: [] });
      await admin(server, 'bans', 'clear', '--yes');
    } finally {
      await author.stop();
    }
  });

  test('is not affected by invalid keys and times, which are refused', async () => {
    for (const bad of ['nonsense', '1.2.3', '1.2.3.4/33', '::1/129', '999.1.1.1', '12D3KooWnope', ''])
      expect(await command(server, 'bans', 'add', bad)).toMatchObject({ code: 2, lines: [] });
    expect((await command(server, 'bans', 'add', '10.0.0.1', '--until', '2001-01-01T00:00:00Z')).code).toBe(2);
    expect(await bannedKeys(server)).toEqual([]);
  });
});

test('is not dialled when it is a static peer, until the ban is lifted', async () => {
  const peer = await GoPeer.start({ psk: PSK, topics: allTopics('regtest') });
  const server = await ServerProcess.start({
    settings: { ...SETTINGS, p2p_static_peers: peer.addresses[0] ?? '', p2p_enable_peer_cache: 'false' },
  });
  try {
    await waitFor(() => peer.isConnectedTo(server.peerId), { what: 'the static peer' });
    await admin(server, 'bans', 'add', peer.peerId);
    await waitFor(async () => !(await peer.isConnectedTo(server.peerId)), { timeoutMs: SECOND, what: 'the cut' });
    const dials = await server.metric('teranode_p2p_dials_total', 'outcome="failed"');
    await waitFor(async () => (await server.metric('teranode_p2p_dials_total', 'outcome="failed"')) >= dials + 2, {
      timeoutMs: 30_000,
      what: 'refused dials',
    });
    expect(await peer.isConnectedTo(server.peerId)).toBe(false);
    await admin(server, 'bans', 'remove', peer.peerId);
    await waitFor(() => peer.isConnectedTo(server.peerId), { timeoutMs: 3 * SECOND, what: 'the static peer again' });
  } finally {
    await Promise.all([peer.stop(), server.stop()]);
  }
});

test('bans are in force before the first connection after a start', async () => {
  const peer = await GoPeer.start({ psk: PSK, listen: ['/ip4/127.0.0.2/tcp/0'], topics: allTopics('regtest') });
  const first = await ServerProcess.start({ settings: SETTINGS });
  const { dataFolder } = first;
  await admin(first, 'bans', 'add', '127.0.0.2', '--for', '1h');
  await first.stop();
  const server = await ServerProcess.start({
    settings: { ...SETTINGS, p2p_static_peers: peer.addresses[0] ?? '' },
    dataFolder,
  });
  try {
    expect(await bannedKeys(server)).toEqual(['127.0.0.2']);
    await peer.connect(server.address).catch(() => undefined);
    await waitFor(async () => (await server.metric('teranode_p2p_connections_refused_total', 'banned_address')) > 0, {
      what: 'the refusal',
    });
    // Go may come again from another address of the machine, which nobody banned.
    const lines = server.output.json.filter((line) => line.event === 'peer connected');
    expect(lines.filter((line) => String(line.address).startsWith('/ip4/127.0.0.2/'))).toEqual([]);
  } finally {
    await Promise.all([peer.stop(), server.stop()]);
  }
});

test('bans of a Go deployment on SQLite are imported once and in force, and its file is not changed', async () => {
  const dataFolder = temporaryFolder('go-deployment');
  const file = join(dataFolder, 'goblockchain.db');
  const go = new DatabaseSync(file);
  go.exec(`CREATE TABLE bans (key TEXT PRIMARY KEY, expiration_time TIMESTAMP WITH TIME ZONE, subnet TEXT);
    INSERT INTO bans VALUES ('10.1.2.3', '2099-01-02T03:04:05Z', '10.1.2.3/32'), ('10.4.0.0/16', '2099-01-02 03:04:05+00:00', '10.4.0.0/16'),
      ('10.5.5.5', '2001-01-01T00:00:00Z', '10.5.5.5/32')`);
  go.close();
  // The chain is a service's, as in a Go deployment; the embedded one would keep its headers in that file.
  const services = await ReferenceServiceProcess.start();
  const settings = {
    ...SETTINGS,
    blockchain_grpcAddress: services.address,
    blockchain_store: 'sqlite:///goblockchain',
  };
  const before = readFileSync(file);
  let server = await ServerProcess.start({ settings, dataFolder });
  expect(await bannedKeys(server)).toEqual(['10.1.2.3', '10.4.0.0/16']);
  await admin(server, 'bans', 'remove', '10.1.2.3');
  await server.stop();
  server = await ServerProcess.start({ settings, dataFolder });
  expect(await bannedKeys(server)).toEqual(['10.4.0.0/16']);
  await Promise.all([server.stop(), services.stop()]);
  expect(readFileSync(file)).toEqual(before);
});

test('a server killed between two writes restarts with both or with the first', async () => {
  let server = await ServerProcess.start({ settings: SETTINGS });
  const { dataFolder } = server;
  const written: string[] = [];
  for (let round = 1; round <= 3; round += 1) {
    await admin(server, 'bans', 'add', `10.0.${round}.1`);
    written.push(`10.0.${round}.1`);
    const second = command(server, 'bans', 'add', `10.0.${round}.2`);
    // Killed at another moment of the second write each time: before it is sent, on its way, answered.
    if (round > 1)
      await waitFor(async () => (await server.metric('teranode_p2p_grpc_requests_total')) >= round, {
        what: 'a moment',
      });
    if (round > 2) await second;
    await server.kill();
    const reported = (await second).code === 0;
    server = await ServerProcess.start({ settings: SETTINGS, dataFolder });
    const found = await bannedKeys(server);
    if (reported || found.includes(`10.0.${round}.2`)) written.push(`10.0.${round}.2`);
    expect(found).toEqual([...written].sort());
  }
  await server.stop();
});
