// Sockets that never finish their handshake: those of one address leave room for everybody else.
import { connect, type Socket } from 'node:net';
import { afterEach, expect, test } from 'vitest';
import { GoPeer } from '../support/go-peer.ts';
import { allTopics, PSK, privateNetwork } from '../support/network.ts';
import { ServerProcess } from '../support/server-process.ts';
import { waitFor } from '../support/wait.ts';

const SILENT = 400;
/** Loopback has more than one. */
const ELSEWHERE = '127.0.0.2';

const stops: (() => unknown)[] = [];

afterEach(async () => {
  for (const stop of stops.splice(0)) await stop();
});

test('hundreds of silent sockets from one address do not prevent connections from another', async () => {
  const server = await ServerProcess.start({ settings: privateNetwork('regtest') });
  stops.push(() => server.stop());
  const port = Number(/\/tcp\/(\d+)/.exec(server.address)?.[1]);
  const sockets = new Set<Socket>();
  let isOver = false;
  const open = () => {
    if (isOver) return;
    const socket = connect({ port, host: '127.0.0.1', localAddress: ELSEWHERE });
    sockets.add(socket);
    socket.on('error', () => {});
    // Whoever is refused comes again.
    socket.on('close', () => {
      sockets.delete(socket);
      setTimeout(open, 500);
    });
  };
  for (let i = 0; i < SILENT; i += 1) open();
  stops.push(() => {
    isOver = true;
    for (const socket of sockets) socket.destroy();
  });
  await waitFor(
    async () => (await server.metric('teranode_p2p_connections_refused_total', 'reason="too_many_pending"')) > SILENT,
    { what: 'refusals' },
  );
  for (let i = 0; i < 5; i += 1) {
    const peer = await GoPeer.start({ psk: PSK, topics: allTopics('regtest') });
    stops.push(() => peer.stop());
    await peer.connect(server.address);
    expect(await peer.isConnectedTo(server.peerId)).toBe(true);
  }
  // Who is through the handshake has left its place.
  expect(await server.metric('teranode_p2p_connected_peers')).toBe(5);
  expect(await server.metric('teranode_p2p_pending_inbound_connections ')).toBeLessThanOrEqual(64);
});

test('slots are free again when sockets close and when handshakes end', async () => {
  const server = await ServerProcess.start({ settings: privateNetwork('regtest') });
  stops.push(() => server.stop());
  const port = Number(/\/tcp\/(\d+)/.exec(server.address)?.[1]);
  const pending = () => server.metric('teranode_p2p_pending_inbound_connections ');
  const peer = await GoPeer.start({ psk: PSK, topics: allTopics('regtest') });
  stops.push(() => peer.stop());
  await peer.connect(server.address);
  await waitFor(async () => (await pending()) === 0, { what: 'the end of the handshake' });
  const sockets = Array.from({ length: 20 }, () => connect({ port, host: '127.0.0.1' }));
  for (const socket of sockets) socket.on('error', () => {});
  await waitFor(async () => (await pending()) === sockets.length, { what: 'all sockets' });
  for (const socket of sockets) socket.destroy();
  await waitFor(async () => (await pending()) === 0, { what: 'the end of all' });
});
