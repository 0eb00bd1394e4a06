// Peers that vanish without ending their connections: processes that hang, machines without power. Nobody says so; the
// server finds out.
import { generateKeyPairSync } from 'node:crypto';
import { afterAll, describe, expect, test } from 'vitest';
import { GoPeer } from '../support/go-peer.ts';
import { allTopics, PSK, privateNetwork, subtreeFields, topicsOf } from '../support/network.ts';
import { ServerProcess } from '../support/server-process.ts';
import { waitFor } from '../support/wait.ts';

const TOPIC = topicsOf('regtest').subtree;
const GO = { psk: PSK, topics: allTopics('regtest') };
/** Four pings, a look, and a busy machine. */
const NOTICED_MS = 90_000;

const stops: (() => Promise<unknown>)[] = [];

afterAll(async () => {
  await Promise.all(stops.splice(0).map((stop) => stop()));
});

async function goPeer(options: Partial<Parameters<typeof GoPeer.start>[0]> = {}): Promise<GoPeer> {
  const peer = await GoPeer.start({ ...GO, ...options });
  stops.push(() => peer.stop());
  return peer;
}

async function startServer(settings: Record<string, string> = {}): Promise<ServerProcess> {
  const server = await ServerProcess.start({ settings: { ...privateNetwork('regtest'), ...settings } });
  stops.push(() => server.stop());
  return server;
}

function privateKey(): string {
  const { d = '', x = '' } = generateKeyPairSync('ed25519').privateKey.export({ format: 'jwk' });
  return Buffer.concat([Buffer.from(d, 'base64url'), Buffer.from(x, 'base64url')]).toString('hex');
}

// They wait for the same times, each with a server of its own.
describe.concurrent('silent connections', () => {
  test('a peer that reconnects while its old connection is dead receives our gossip again', async () => {
    const server = await startServer();
    const speaker = await goPeer({ allow: [server.peerId] });
    await speaker.connect(server.address);
    const key = privateKey();
    const hanging = await goPeer({ privateKey: key, allow: [server.peerId] });
    await hanging.connect(server.address);
    await waitFor(async () => (await hanging.mesh()).mesh[TOPIC]?.includes(server.peerId), { what: 'the mesh' });
    hanging.freeze();
    const back = await goPeer({ privateKey: key, allow: [server.peerId] });
    expect(back.peerId).toBe(hanging.peerId);
    await back.connect(server.address);
    await waitFor(
      async () => {
        await speaker.publish(TOPIC, JSON.stringify(subtreeFields(speaker.peerId)));
        await new Promise((resolve) => setTimeout(resolve, 500));
        return ((await back.counts())[TOPIC] ?? 0) > 0;
      },
      { what: 'an announcement at the peer that came back', timeoutMs: NOTICED_MS },
    );
    expect(await server.metric('teranode_p2p_connections_silent_total')).toBe(1);
    expect(await server.metric('teranode_p2p_connected_peers')).toBe(2);
  });

  test('a hanging static peer stops counting as connected and is dialled until it is back', async () => {
    const peer = await goPeer();
    const [address = ''] = peer.addresses;
    const server = await startServer({ p2p_static_peers: address });
    const connected = () => server.metric('teranode_p2p_connected_peers');
    await waitFor(async () => (await connected()) === 1, { what: 'the static peer' });
    peer.freeze();
    await waitFor(async () => (await connected()) === 0, { what: 'the end of the connection', timeoutMs: NOTICED_MS });
    await waitFor(async () => (await server.metric('teranode_p2p_dials_total', 'outcome="failed"')) > 0, {
      what: 'a dial in vain',
      timeoutMs: 40_000,
    });
    peer.thaw();
    await waitFor(async () => (await connected()) === 1, { what: 'the static peer again', timeoutMs: 60_000 });
  });
});
