// Bans hold whatever name a peer was dialled by, and against one that does not read.
import { expect, test } from 'vitest';
import { admin } from '../support/admin.ts';
import { GoPeer } from '../support/go-peer.ts';
import { allTopics, PSK, privateNetwork } from '../support/network.ts';
import { ServerProcess } from '../support/server-process.ts';
import { waitFor } from '../support/wait.ts';

const SECOND = 1000;
const SETTINGS = privateNetwork('regtest');

const events = (server: ServerProcess, event: string) => server.output.json.filter((line) => line.event === event);

test('a ban of its subnet disconnects a static peer dialled by name within a second, until it is lifted', async () => {
  const peer = await GoPeer.start({ psk: PSK, topics: allTopics('regtest') });
  const address = (peer.addresses[0] ?? '').replace('/ip4/127.0.0.1', '/dns4/localhost');
  const server = await ServerProcess.start({ settings: { ...SETTINGS, p2p_static_peers: address } });
  try {
    await waitFor(() => peer.isConnectedTo(server.peerId), { what: 'the static peer' });
    const [listed] = await admin(server, 'peers', 'list');
    expect(listed?.id).toBe(peer.peerId);
    expect(JSON.stringify(listed)).toContain('/ip4/127.0.0.1/tcp/');
    const explained = async () => (await admin(server, 'bans', 'explain', peer.peerId))[0];
    expect(await explained()).toMatchObject({ addressesSeen: ['127.0.0.1'] });

    await admin(server, 'bans', 'add', '127.0.0.0/8');
    await waitFor(async () => !(await peer.isConnectedTo(server.peerId)), { timeoutMs: SECOND, what: 'the cut' });
    const refusals = () =>
      server.output.json.filter(
        (line) => line.event === 'failed to dial peer' && /EADDRREFUSED/.test(String(line.reason)),
      );
    await waitFor(() => refusals().length >= 2, { timeoutMs: 20_000, what: 'two dials that end at the name' });
    expect(events(server, 'peer connected')).toHaveLength(1);

    await admin(server, 'bans', 'remove', '127.0.0.0/8');
    await waitFor(() => peer.isConnectedTo(server.peerId), { what: 'the way back' });
  } finally {
    await Promise.all([peer.stop(), server.stop()]);
  }
});

test.each(['its IP', 'its peer id'])('a peer that does not read is disconnected within a second by %s', async (by) => {
  const server = await ServerProcess.start({ settings: SETTINGS });
  const peer = await GoPeer.start({ psk: PSK, topics: allTopics('regtest') });
  try {
    await peer.connect(server.address);
    await waitFor(() => events(server, 'peer connected').length === 1, { what: 'the peer' });
    peer.freeze();
    await admin(server, 'bans', 'add', by === 'its IP' ? '127.0.0.1' : peer.peerId);
    await waitFor(() => events(server, 'peer disconnected').length === 1, { timeoutMs: SECOND, what: 'the cut' });
    const [began, ended] = [events(server, 'banned peer disconnected')[0], events(server, 'peer disconnected')[0]];
    expect(Number(ended?.time) - Number(began?.time)).toBeLessThan(SECOND);
    expect(await server.metric('teranode_p2p_connected_peers')).toBe(0);
  } finally {
    await Promise.all([peer.stop(), server.stop()]);
  }
});
