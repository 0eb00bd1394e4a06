// No frame of ours is longer than neighbours read, whatever gossipsub wants to send at once.
import type { GossipSub } from '@libp2p/gossipsub';
import { RPC } from '@libp2p/gossipsub/message';
import { describe, expect, test } from 'vitest';
import { sendInParts } from '../../../src/adapters/libp2p/gossipsub/rpc-splitting.ts';

const MIB = 1024 * 1024;
const PEER = 'a peer';

/** As gossipsub sends: what waits for the peer is put into the frame, then it is encoded. */
function setUp(answers: readonly boolean[] = []) {
  const frames: Uint8Array[] = [];
  const gossip = new Map<string, RPC.ControlIHave[]>();
  const library = {
    gossip,
    sendRpc: (id: string, rpc: RPC): boolean => {
      const waiting = gossip.get(id);
      gossip.delete(id);
      if (waiting !== undefined) {
        rpc.control ??= control();
        rpc.control.ihave = waiting;
      }
      frames.push(RPC.encode(rpc));
      return answers[frames.length - 1] ?? true;
    },
  };
  sendInParts(library as unknown as GossipSub);
  const sent = () => frames.map((frame) => RPC.decode(frame));
  return { library, gossip, frames, sent };
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
    ['nothing but lengths', 20_000, 0],
  ])('%s go in parts, in their order, none lost', (_what, count, bytes) => {
    const { library, frames, sent } = setUp();
    const messages = Array.from({ length: count }, (_each, i) => message(bytes, i));
    expect(library.sendRpc(PEER, { subscriptions: [], messages })).toBe(true);
    for (const frame of frames) expect(frame.length).toBeLessThan(MIB);
    const seqnos = sent().flatMap((rpc) => rpc.messages.map(({ seqno }) => Buffer.from(seqno ?? []).readBigUInt64BE()));
    expect(seqnos).toEqual(messages.map((_each, i) => BigInt(i)));
  });

  test('few are one frame, with the control messages that came with them', () => {
    const { library, sent } = setUp();
    const graft = [{ topicID: 't' }];
    library.sendRpc(PEER, { subscriptions: [], messages: [message(10), message(10)], control: control({ graft }) });
    expect(sent()).toMatchObject([{ messages: [{}, {}], control: { graft } }]);
  });

  test('control messages go once, with the first part, which decides whether they went', () => {
    for (const first of [true, false]) {
      const { library, sent } = setUp([first, !first]);
      const iwant = [{ messageIDs: ids(3) }];
      const messages = Array.from({ length: 3000 }, () => message(300));
      expect(library.sendRpc(PEER, { subscriptions: [], messages, control: control({ iwant }) })).toBe(first);
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

describe('ids of what there is', () => {
  const TOPICS = ['a', 'b', 'c', 'd', 'e', 'f', 'g'];
  const everything = () => TOPICS.map((topicID) => ({ topicID, messageIDs: ids(5000) }));
  const named = (rpcs: readonly RPC[]) =>
    rpcs.flatMap((rpc) => rpc.control?.ihave.map(({ topicID, messageIDs }) => `${topicID} ${messageIDs.length}`) ?? []);
  const all = TOPICS.map((topic) => `${topic} 5000`);

  test('of all topics go in a frame each, when they are all that is sent', () => {
    const { library, frames, sent } = setUp();
    library.sendRpc(PEER, { subscriptions: [], messages: [], control: control({ ihave: everything() }) });
    for (const frame of frames) expect(frame.length).toBeLessThan(MIB);
    expect(named(sent())).toEqual(all);
    expect(frames).toHaveLength(TOPICS.length);
  });

  test('that wait for a peer leave room for the largest message', () => {
    const { library, gossip, frames, sent } = setUp();
    gossip.set(PEER, everything());
    library.sendRpc(PEER, { subscriptions: [], messages: [message(MIB - 1024)] });
    for (const frame of frames) expect(frame.length).toBeLessThan(MIB);
    expect(named(sent())).toEqual(all);
    expect(sent().flatMap(({ messages }) => messages)).toHaveLength(1);
    expect(gossip.size).toBe(0);
  });

  test('are not mixed up with those of the next frame', () => {
    const { library, gossip, sent } = setUp();
    for (let i = 0; i < 2; i += 1) {
      gossip.set(PEER, everything());
      library.sendRpc(PEER, { subscriptions: [], messages: [message(10)] });
    }
    expect(named(sent())).toEqual([...all, ...all]);
  });

  test('a few go with the message', () => {
    const { library, gossip, sent } = setUp();
    gossip.set(PEER, [{ topicID: 'a', messageIDs: ids(20) }]);
    library.sendRpc(PEER, { subscriptions: [], messages: [message(10)] });
    expect(sent()).toMatchObject([{ messages: [{}], control: { ihave: [{ topicID: 'a' }] } }]);
  });

  test('that wait for one peer do not go to the next one that gets the same message', () => {
    const { library, gossip, sent } = setUp();
    const published = { subscriptions: [], messages: [message(10)] };
    gossip.set(PEER, [{ topicID: 'a', messageIDs: ids(20) }]);
    library.sendRpc(PEER, published);
    library.sendRpc('another peer', published);
    expect(sent().map((rpc) => rpc.control?.ihave.length ?? 0)).toEqual([1, 0]);
  });
});

test('a library without these parts is refused', () => {
  expect(() => sendInParts({ sendRpc: () => true } as unknown as GossipSub)).toThrow(TypeError);
});
