// Servers that share one PostgreSQL: what one bans holds at the others within a second; a database that is away takes
// nothing out of force.
import { afterAll, beforeAll, expect, test } from 'vitest';
import { admin, bannedKeys } from '../support/admin.ts';
import { GoGrpcClient } from '../support/go-grpc.ts';
import { GoPeer } from '../support/go-peer.ts';
import { allTopics, PSK, privateNetwork } from '../support/network.ts';
import { PostgresServer } from '../support/postgres.ts';
import { ServerProcess } from '../support/server-process.ts';
import { waitFor } from '../support/wait.ts';

const SECOND = 1000;
const OUTAGE_MS = 30_000;
const KEY = 'a-key-of-this-test-only-42';
let postgres: PostgresServer;

beforeAll(async () => {
  postgres = await PostgresServer.create();
  await postgres.start();
});

afterAll(async () => {
  await postgres?.remove();
});

async function settingsOf(database: string): Promise<Record<string, string>> {
  await postgres.createDatabase(database);
  return { ...privateNetwork('regtest'), p2p_ban_store: postgres.url(database), grpc_admin_api_key: KEY };
}

function operator(server: ServerProcess): GoGrpcClient {
  return new GoGrpcClient({ address: server.ready.grpcAddress, key: KEY });
}

const call = async (client: GoGrpcClient, method: string, request: object = {}) => {
  const answer = await client.call(`p2p_api.PeerService/${method}`, request);
  if (answer.code !== 'OK') throw new Error(`${method}: ${answer.code} ${answer.message}`);
  return answer.response ?? {};
};

/** How long each step took, every time: the machine may have been busy with others, so the best of all counts. */
const tookMs: Record<string, number[]> = {};

async function timed(what: string, probe: () => Promise<boolean>): Promise<void> {
  const startedMs = performance.now();
  await waitFor(probe, { what });
  tookMs[what] = [...(tookMs[what] ?? []), performance.now() - startedMs];
}

async function banHoldsAtOther(one: ServerProcess, other: ServerProcess): Promise<void> {
  const peer = await GoPeer.start({ psk: PSK, topics: allTopics('regtest') });
  const [atOne, atOther] = [operator(one), operator(other)];
  try {
    await peer.connect(other.address);
    expect(await call(atOther, 'IsBanned', { ipOrSubnet: peer.peerId })).toMatchObject({ isBanned: false });
    await call(atOne, 'BanPeer', { addr: peer.peerId });
    await timed('the cut', async () => !(await peer.isConnectedTo(other.peerId)));
    expect(await call(atOther, 'IsBanned', { ipOrSubnet: peer.peerId })).toMatchObject({ isBanned: true });
    await peer.connect(other.address).catch(() => undefined);
    await timed('the refusal', async () => !(await peer.isConnectedTo(other.peerId)));
    await call(atOther, 'UnbanPeer', { addr: peer.peerId });
    await timed(
      'the unban',
      async () => (await call(atOne, 'IsBanned', { ipOrSubnet: peer.peerId })).isBanned === false,
    );
  } finally {
    await Promise.all([peer.stop(), atOne.stop(), atOther.stop()]);
  }
}

test('a ban at one server is enforced at the other within a second, also after a restart of PostgreSQL; scores add up', async () => {
  const settings = await settingsOf('two_servers');
  const one = await ServerProcess.start({ settings });
  const other = await ServerProcess.start({ settings });
  const [atOne, atOther] = [operator(one), operator(other)];
  try {
    await banHoldsAtOther(one, other);
    for (const downMs of [0, 12 * SECOND]) {
      await postgres.stop();
      const stoppedMs = performance.now();
      await waitFor(() => performance.now() - stoppedMs >= downMs, { timeoutMs: 2 * downMs + 1, what: 'the outage' });
      // Banned while the database is away; from its first answer on counts the second.
      const addr = `10.9.9.${downMs / SECOND}`;
      await call(atOne, 'BanPeer', { addr });
      await postgres.start();
      await timed(
        'the ban after an outage',
        async () => (await call(atOther, 'IsBanned', { ipOrSubnet: addr })).isBanned === true,
      );
      await banHoldsAtOther(other, one);
    }
    const fastest = Object.entries(tookMs).map(([what, all]) => [what, Math.min(...all)] as const);
    expect(fastest).toHaveLength(4);
    expect(fastest.filter(([, ms]) => ms >= SECOND)).toEqual([]);

    // Five offences of 20 points, shared between the two, ban at both.
    const peer = await GoPeer.start({ psk: PSK, topics: allTopics('regtest') });
    for (let i = 0; i < 5; i += 1)
      await call(i % 2 === 0 ? atOne : atOther, 'AddBanScore', { peerId: peer.peerId, reason: 'protocol_violation' });
    for (const client of [atOne, atOther])
      await waitFor(async () => (await call(client, 'IsBanned', { ipOrSubnet: peer.peerId })).isBanned === true, {
        what: 'the ban by the shared score',
      });
    await peer.stop();
  } finally {
    await Promise.all([atOne.stop(), atOther.stop()]);
    await Promise.all([one.stop(), other.stop()]);
  }
});

test('an automatic ban spares an address at which the other server sees another peer', async () => {
  const settings = await settingsOf('one_address');
  const one = await ServerProcess.start({ settings });
  const other = await ServerProcess.start({ settings });
  const start = () => GoPeer.start({ psk: PSK, listen: ['/ip4/127.0.0.2/tcp/0'], topics: allTopics('regtest') });
  const [bad, honest] = [await start(), await start()];
  const [atOne, atOther] = [operator(one), operator(other)];
  try {
    await Promise.all([bad.connect(one.address), honest.connect(other.address)]);
    const isSeen = (server: ServerProcess, peer: GoPeer) =>
      server.output.json.some(
        (line) =>
          line.event === 'peer connected' &&
          line.peerId === peer.peerId &&
          String(line.address).startsWith('/ip4/127.0.0.2/'),
      );
    await waitFor(() => isSeen(one, bad) && isSeen(other, honest), { what: 'both from one address' });
    const written = () => other.metric('teranode_p2p_ban_store_writes_total', 'outcome="written"');
    await waitFor(async () => (await written()) > 0, { what: 'the address in the store' });
    for (let i = 0; i < 5; i += 1)
      await call(atOne, 'AddBanScore', { peerId: bad.peerId, reason: 'protocol_violation' });
    for (const server of [one, other]) {
      const evidence = async () => {
        const [explained] = await admin(server, 'bans', 'explain', bad.peerId);
        return JSON.stringify(explained?.inForce);
      };
      await waitFor(async () => (await evidence()).includes('another peer was seen at 127.0.0.2'), { what: 'the ban' });
      expect(await bannedKeys(server)).toEqual([bad.peerId]);
    }
    expect(await honest.isConnectedTo(other.peerId)).toBe(true);
  } finally {
    await Promise.all([bad.stop(), honest.stop(), atOne.stop(), atOther.stop()]);
    await Promise.all([one.stop(), other.stop()]);
  }
});

test('while PostgreSQL is stopped for 30 s bans stay enforced; new ones are written when it is back', async () => {
  const settings = await settingsOf('outage');
  const server = await ServerProcess.start({ settings });
  const peer = await GoPeer.start({ psk: PSK, topics: allTopics('regtest') });
  const late = await GoPeer.start({ psk: PSK, topics: allTopics('regtest') });
  try {
    await late.connect(server.address);
    await admin(server, 'bans', 'add', peer.peerId);
    await postgres.stop();
    const stoppedMs = performance.now();
    await peer.connect(server.address).catch(() => undefined);
    await waitFor(async () => !(await peer.isConnectedTo(server.peerId)), { what: 'the refusal' });
    await admin(server, 'bans', 'add', late.peerId);
    await waitFor(async () => !(await late.isConnectedTo(server.peerId)), { what: 'the new ban' });
    // A write that is being tried is not in the queue.
    const queued = () => server.metric('teranode_p2p_ban_store_queue_length');
    await waitFor(async () => (await queued()) > 0, { what: 'the write that waits' });
    await waitFor(() => performance.now() - stoppedMs > OUTAGE_MS, { timeoutMs: 2 * OUTAGE_MS, what: '30 s' });
    for (const { peerId } of [peer, late]) expect(await bannedKeys(server)).toContain(peerId);
    await postgres.start();
    await waitFor(async () => (await server.metric('teranode_p2p_ban_store_up')) === 1 && (await queued()) === 0, {
      what: 'the waiting writes',
    });
    await server.stop();
    const again = await ServerProcess.start({ settings });
    expect(await bannedKeys(again)).toEqual([peer.peerId, late.peerId].sort());
    await again.stop();
  } finally {
    await Promise.all([peer.stop(), late.stop(), server.stop()]);
  }
});

test('bans of a Go deployment in the same database are imported once and in force', async () => {
  const settings = await settingsOf('go_deployment');
  await postgres.sql(
    `CREATE TABLE bans (key TEXT PRIMARY KEY, expiration_time TEXT NOT NULL, subnet TEXT NOT NULL);
     INSERT INTO bans VALUES ('10.1.2.3', '2099-01-02T03:04:05Z', '10.1.2.3/32'), ('::ffff:10.4.0.0/112', '2099-01-02T03:04:05.678+02:00', '10.4.0.0/16'),
       ('10.5.5.5', '2001-01-01T00:00:00Z', '10.5.5.5/32');`,
    'go_deployment',
  );
  let server = await ServerProcess.start({ settings });
  expect(await bannedKeys(server)).toEqual(['10.1.2.3', '10.4.0.0/16']);
  await admin(server, 'bans', 'remove', '10.1.2.3');
  await server.stop();
  server = await ServerProcess.start({ settings });
  expect(await bannedKeys(server)).toEqual(['10.4.0.0/16']);
  await server.stop();
});
