// No RPC of ours is longer than peers read, whatever gossipsub wants to send at once.
import { RPC } from '@libp2p/gossipsub/message';
import { describe, expect, test } from 'vitest';
import type { GossipsubParts } from '../../../src/adapters/libp2p/gossipsub/parts.ts';
import { RpcSplitting } from '../../../src/adapters/libp2p/gossipsub/rpc-splitting.ts';

const MIB = 1024 * 1024;
const PEER = 'a peer';

/** As gossipsub sends: what is pending for the peer is added to the RPC, then the RPC is encoded. */
function setUp(answers: readonly boolean[] = []) {
  const frames: Uint8Array[] = [];
  const gossip = new Map<string, RPC.ControlIHave[]>();
  const sendRpc = new RpcSplitting(gossip as GossipsubParts['gossip']).sendRpc((id, given) => {
    const rpc = given as RPC;
    const pending = gossip.get(id);
    gossip.delete(id);
    if (pending !== undefined) {
      rpc.control ??= control();
      rpc.control.ihave = pending;
    }
    frames.push(RPC.encode(rpc));
    return answers[frames.length - 1] ?? true;
  });
  const sent = () => frames.map((frame) => RPC.decode(frame));
  return { sendRpc, gossip, frames, sent };
}

function control(parts: Partial<RPC.ControlMessage> = {}): RPC.ControlMessage {
  return { ihave: [], iwant: [], graft: [], prune: [], idontwant: [], ...parts };
}

function message(bytes: number, seqno = 0): RPC.Message {
  const number = Buffer.alloc(8);
  number.writeBigUInt64BE(BigInt(seqno));
  return {
    from: new Uint8Array(38),
    data: new Uint8Array(bytes),
    seqno: number,
    topic: 'teranode/bitcoin/1.0.0/mainnet-subtree',
    signature: new Uint8Array(64),
    key: new Uint8Array(36),
  };
}

function ids(count: number): Uint8Array[] {
  return Array.from({ length: count }, () => new Uint8Array(46));
}

describe('messages', () => {
  test.each([
    ['many small ones', 5000, 300],
    ['some of the largest status', 9, 256 * 1024],
    ['messages without content', 20_000, 0],
  ])('%s are split, in order, none lost', (_what, count, bytes) => {
    const { sendRpc, frames, sent } = setUp();
    const messages = Array.from({ length: count }, (_each, i) => message(bytes, i));
    expect(sendRpc(PEER, { subscriptions: [], messages })).toBe(true);
    for (const frame of frames) expect(frame.length).toBeLessThan(MIB);
    const seqnos = sent().flatMap((rpc) => rpc.messages.map(({ seqno }) => Buffer.from(seqno ?? []).readBigUInt64BE()));
    expect(seqnos).toEqual(messages.map((_each, i) => BigInt(i)));
  });

  test('a few are one RPC, with the control messages that came with them', () => {
    const { sendRpc, sent } = setUp();
    const graft = [{ topicID: 't' }];
    sendRpc(PEER, { subscriptions: [], messages: [message(10), message(10)], control: control({ graft }) });
    expect(sent()).toMatchObject([{ messages: [{}, {}], control: { graft } }]);
  });

  test('control messages go once, with the first part, whose outcome is returned', () => {
    for (const first of [true, false]) {
      const { sendRpc, sent } = setUp([first, !first]);
      const iwant = [{ messageIDs: ids(3) }];
      const messages = Array.from({ length: 3000 }, () => message(300));
      expect(sendRpc(PEER, { subscriptions: [], messages, control: control({ iwant }) })).toBe(first);
      expect(sent().length).toBeGreaterThan(1);
      expect(sent().map((rpc) => rpc.control?.iwant.length ?? 0)).toEqual([
        1,
        ...sent()
          .slice(1)
          .map(() => 0),
      ]);
    }
  });
});

describe('message IDs (IHAVE)', () => {
  const TOPICS = ['a', 'b', 'c', 'd', 'e', 'f', 'g'];
  const everything = () => TOPICS.map((topicID) => ({ topicID, messageIDs: ids(5000) }));
  const named = (rpcs: readonly RPC[]) =>
    rpcs.flatMap((rpc) => rpc.control?.ihave.map(({ topicID, messageIDs }) => `${topicID} ${messageIDs.length}`) ?? []);
  const all = TOPICS.map((topic) => `${topic} 5000`);

  test('of all topics go in an RPC each when nothing else is sent', () => {
    const { sendRpc, frames, sent } = setUp();
    sendRpc(PEER, { subscriptions: [], messages: [], control: control({ ihave: everything() }) });
    for (const frame of frames) expect(frame.length).toBeLessThan(MIB);
    expect(named(sent())).toEqual(all);
    expect(frames).toHaveLength(TOPICS.length);
  });

  test('pending for a peer leave room for the largest message', () => {
    const { sendRpc, gossip, frames, sent } = setUp();
    gossip.set(PEER, everything());
    sendRpc(PEER, { subscriptions: [], messages: [message(MIB - 1024)] });
    for (const frame of frames) expect(frame.length).toBeLessThan(MIB);
    expect(named(sent())).toEqual(all);
    expect(sent().flatMap(({ messages }) => messages)).toHaveLength(1);
    expect(gossip.size).toBe(0);
  });

  test('are not mixed up with those of the next RPC', () => {
    const { sendRpc, gossip, sent } = setUp();
    for (let i = 0; i < 2; i += 1) {
      gossip.set(PEER, everything());
      sendRpc(PEER, { subscriptions: [], messages: [message(10)] });
    }
    expect(named(sent())).toEqual([...all, ...all]);
  });

  test('a few go with the message', () => {
    const { sendRpc, gossip, sent } = setUp();
    gossip.set(PEER, [{ topicID: 'a', messageIDs: ids(20) }]);
    sendRpc(PEER, { subscriptions: [], messages: [message(10)] });
    expect(sent()).toMatchObject([{ messages: [{}], control: { ihave: [{ topicID: 'a' }] } }]);
  });

  test('pending for one peer do not go to the next peer that gets the same message', () => {
    const { sendRpc, gossip, sent } = setUp();
    const published = { subscriptions: [], messages: [message(10)] };
    gossip.set(PEER, [{ topicID: 'a', messageIDs: ids(20) }]);
    sendRpc(PEER, published);
    sendRpc('another peer', published);
    expect(sent().map((rpc) => rpc.control?.ihave.length ?? 0)).toEqual([1, 0]);
  });
});
