// Messages recorded from a real server of November 2025, passed to our server as they were signed; and the bytes of our
// own messages beside those that Go writes.
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { messageBus } from '../support/bus-network.ts';
import { busTopics, GoBus } from '../support/go-bus.ts';
import { GoScored } from '../support/go-scored.ts';
import type { NetworkName } from '../support/network.ts';
import { REPO } from '../support/repo.ts';
import { ServerProcess } from '../support/server-process.ts';
import { waitFor } from '../support/wait.ts';

const UNREACHABLE = ['/ip4/127.0.0.1/tcp/1'];

interface Recorded {
  readonly topic: string;
  readonly author: string;
  readonly pubsub_message_hex: string;
  readonly payload_text: string;
  readonly client_name: string;
}

const recorded = ['block', 'subtree', 'rejected_tx', 'node_status'].flatMap((kind) => {
  const text = readFileSync(join(REPO, `test/data/today/${kind}.json`), 'utf8');
  return (JSON.parse(text) as { messages: Recorded[] }).messages;
});

async function startServer(network: NetworkName, settings: Record<string, string> = {}): Promise<ServerProcess> {
  const server = await ServerProcess.start({ settings: { ...messageBus(network), ...settings } });
  onTestFinished(async () => void (await server.stop()));
  return server;
}

async function startScored(server: ServerProcess, network: NetworkName): Promise<GoScored> {
  const peer = await GoScored.start({ network });
  onTestFinished(() => peer.stop());
  await peer.connect(server.address);
  for (const topic of Object.values(busTopics(network)))
    await waitFor(async () => (await peer.mesh()).mesh[topic]?.includes(server.peerId), { what: 'the mesh' });
  return peer;
}

/** Frames of our WebSocket without their time. */
async function framesOf(server: ServerProcess): Promise<Record<string, unknown>[]> {
  const frames: Record<string, unknown>[] = [];
  const socket = new WebSocket(`ws://${server.ready.httpAddress}/p2p-ws?types=block,subtree,node_status,rejected_tx`);
  socket.addEventListener('message', ({ data }) => {
    const { timestamp: _timestamp, ...rest } = JSON.parse(String(data)) as Record<string, unknown>;
    frames.push(rest);
  });
  onTestFinished(() => socket.close());
  await waitFor(() => frames.length > 0, { what: 'the first frame' });
  return frames;
}

test('every recorded message is decoded, shown and passed on with the bytes that its author signed', async () => {
  const server = await startServer('mainnet');
  const source = await startScored(server, 'mainnet');
  const listener = await GoBus.start({ bootstrapPeers: [server.address], announceAddrs: UNREACHABLE });
  onTestFinished(() => listener.stop());
  for (const topic of Object.values(busTopics('mainnet')))
    await waitFor(async () => (await listener.mesh()).mesh[topic]?.includes(server.peerId), { what: 'the mesh' });
  const frames = await framesOf(server);
  // In the order in which their authors numbered them.
  const inOrder = recorded.toSorted((x, y) => (seqnoOf(x) < seqnoOf(y) ? -1 : 1));
  for (const { pubsub_message_hex } of inOrder)
    await source.forward({ peerId: server.peerId, messages: [pubsub_message_hex] });

  const heard = await waitFor(
    async () => {
      const all = (await listener.received()).filter(({ author }) => author !== server.peerId);
      return all.length >= recorded.length && all;
    },
    { what: 'the recorded messages at another peer' },
  );
  const shape = ({ topic, author, text, name }: { topic: string; author: string; text: string; name: string }) =>
    [topic, author, text, name].join(' ');
  expect(heard.map(shape).sort()).toEqual(
    recorded.map((each) => shape({ ...each, text: each.payload_text, name: each.client_name })).sort(),
  );
  const facts = (text: string) => {
    const fields = JSON.parse(text) as Record<string, unknown>;
    const { Hash, TxID, PeerID, DataHubURL, best_block_hash, peer_id, base_url, min_mining_tx_fee, storage } = fields;
    const status = { best_block_hash, min_mining_tx_fee, storage };
    return {
      peer_id: PeerID ?? peer_id,
      ...(Hash === undefined && TxID === undefined ? status : { hash: Hash ?? TxID }),
      ...(TxID === undefined ? { base_url: DataHubURL ?? base_url } : {}),
    };
  };
  const areShown = () => {
    for (const { payload_text } of recorded)
      expect(frames).toContainEqual(expect.objectContaining(facts(payload_text)));
    return true;
  };
  await waitFor(areShown, { what: 'a frame of each message' });
});

/** Field 3 of the message, eight bytes: its time at its author. */
function seqnoOf({ pubsub_message_hex }: Recorded): string {
  const [, seqno = ''] = /1a08([0-9a-f]{16})22/.exec(pubsub_message_hex) ?? [];
  return seqno;
}

test('our own envelopes have the bytes that Go writes for the same messages', async () => {
  const server = await startServer('regtest', { clientName: 'B <&> é', embedded_chain_mine_interval: '1s' });
  const judge = await startScored(server, 'regtest');
  const writer = await GoBus.start({ name: 'B <&> é', network: 'regtest', bootstrapPeers: [judge.address] });
  onTestFinished(() => writer.stop());
  const topics = busTopics('regtest');
  for (const topic of [topics.block, topics.subtree, topics.nodeStatus]) {
    const ours = await waitFor(
      async () => (await judge.received(topic)).find(({ author }) => author === server.peerId),
      { timeoutMs: 60_000, what: 'a message of ours' },
    );
    await waitFor(async () => (await writer.mesh()).mesh[topic]?.includes(judge.peerId), { what: 'the mesh' });
    await writer.publish(topic, ours.text);
    const theirs = await waitFor(
      async () => (await judge.received(topic)).find(({ author }) => author === writer.peerId),
      { what: 'the message as Go writes it' },
    );
    expect(ours.data.toString()).toBe(theirs.data.toString());
  }
});
