// The one check of gossipsub's private parts, and the chains that are put around them.
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { GossipSub } from '@libp2p/gossipsub';
import { peerIdFromString } from '@libp2p/peer-id';
import { describe, expect, test } from 'vitest';
import { GossipInternals, meshPeers } from '../../../src/adapters/libp2p/gossipsub/internals.ts';
import { messageIdOf } from '../../../src/adapters/libp2p/gossipsub/options.ts';
import {
  FEATURES,
  GOSSIPSUB_PARTS,
  type GossipFeature,
  type GossipsubPart,
  type Stage,
  WRITTEN_FOR,
} from '../../../src/adapters/libp2p/gossipsub/parts.ts';
import { P2PError } from '../../../src/lib/errors.ts';
import { peer } from '../../fakes/ban-parts.ts';
import { recordingLogger } from '../../fakes/recorders.ts';
import { REPO } from '../../support/repo.ts';

const ID = peerIdFromString(peer(1));
const REQUIRED: readonly GossipsubPart[] = ['topicValidators', 'msgIdFn'];
const EACH = GOSSIPSUB_PARTS.filter((part) => !REQUIRED.includes(part));

class FakeGossipsub {
  readonly calls: string[] = [];
  topicValidators = new Map();
  msgIdFn = messageIdOf;
  fastMsgIdCache = { put() {} };
  seenCache = { put() {} };
  score = {
    validateMessage() {},
    deliverMessage() {},
    rejectMessage() {},
    rejectInvalidMessage() {},
    duplicateMessage() {},
  };
  backoff = new Map();
  gossip = new Map();
  streamsOutbound = new Map<string, unknown>([[peer(1), {}]]);
  mcache = { put() {} };
  gossipTracer = { deliverMessage() {}, rejectMessage() {} };
  decodeRpc() {}
  async handleReceivedMessage() {}
  forwardMessage() {}
  sendIDontWants() {}
  async handleReceivedRpc() {}
  handlePeerReadStreamError() {}
  doAddBackoff() {}
  selectPeersToPublish() {}
  selectPeersToForward() {}
  sendRpc() {}
  createInboundStream() {}
  async createOutboundStream() {}

  async validateReceivedMessage() {
    this.calls.push('gossipsub');
    return { code: 'valid' };
  }

  onPeerConnected() {
    this.calls.push('onPeerConnected');
  }

  getMeshPeers(topic: string) {
    return [`${topic} of ${this.calls.length}`];
  }
}

/** As the library would be if it had renamed a part; `score.x` is a part of `score`. */
function setUp(missing?: GossipsubPart) {
  const library = new FakeGossipsub();
  const [first = '', second] = missing?.split('.') ?? [];
  const holder = second === undefined ? library : Reflect.get(library, first);
  if (missing !== undefined) Object.defineProperty(holder, second ?? first, { value: undefined, writable: true });
  const log = recordingLogger();
  return { library, log, pubsub: library as unknown as GossipSub };
}

function noting(name: string, calls: string[], feature: GossipFeature = 'progress'): Stage<'incoming'> {
  return {
    feature,
    validateReceivedMessage: (next) => (receivedFrom, message) => {
      calls.push(name);
      return next(receivedFrom, message);
    },
  };
}

describe('check', () => {
  test('is written for the installed version', () => {
    const file = join(REPO, 'node_modules/@libp2p/gossipsub/package.json');
    expect(JSON.parse(readFileSync(file, 'utf8')).version).toBe(WRITTEN_FOR);
  });

  test('says nothing when every part is there', () => {
    const { log, pubsub } = setUp();
    const internals = new GossipInternals(pubsub, log);
    expect(log.lines).toEqual([]);
    for (const feature of Object.keys(FEATURES) as GossipFeature[]) expect(internals.supports(feature)).toBe(true);
  });

  test.each(EACH)('without %s writes one line, and turns off the features that need it and no others', (part) => {
    const { log, pubsub } = setUp(part);
    const internals = new GossipInternals(pubsub, log);
    expect(log.lines).toMatchObject([{ level: 'warn', fields: { part } }]);
    const [line] = log.lines;
    for (const [feature, { needs, lost }] of Object.entries(FEATURES)) {
      const isOff = (needs as readonly GossipsubPart[]).includes(part);
      expect(internals.supports(feature as GossipFeature)).toBe(!isOff);
      expect(line?.event.includes(lost)).toBe(isOff);
    }
    expect(line?.event).toMatch(new RegExp(`^gossipsub has no '${part}': .`));
  });

  test.each(REQUIRED)('without %s refuses', (part) => {
    const { log, pubsub } = setUp(part);
    expect(() => new GossipInternals(pubsub, log)).toThrow(P2PError);
  });

  test('refuses message IDs that are not those of Go', () => {
    const { library, log, pubsub } = setUp();
    library.msgIdFn = () => new Uint8Array();
    expect(() => new GossipInternals(pubsub, log)).toThrow(
      /^gossipsub has no 'msgIdFn': message IDs would differ from those of Go nodes/,
    );
  });
});

describe('chain', () => {
  test('is called in the order of its list, gossipsub last, with its own object', async () => {
    const { library, log, pubsub } = setUp();
    const { calls } = library;
    new GossipInternals(pubsub, log).install({
      incoming: [noting('first', calls), noting('second', calls), noting('third', calls)],
      outgoing: [],
      opening: [],
    });
    expect(await (library.validateReceivedMessage as (...given: unknown[]) => unknown)(ID, {})).toEqual({
      code: 'valid',
    });
    expect(calls).toEqual(['first', 'second', 'third', 'gossipsub']);
  });

  test('leaves out a stage whose feature is off, and touches nothing that no stage stands around', async () => {
    const { library, log, pubsub } = setUp('fastMsgIdCache');
    const { calls } = library;
    const { sendRpc, validateReceivedMessage } = library;
    const incoming = [noting('first', calls, 'seenMessages'), noting('second', calls)];
    new GossipInternals(pubsub, log).install({ incoming, outgoing: [{ feature: 'rpcSplitting' }], opening: [] });
    await library.validateReceivedMessage();
    expect(calls).toEqual(['second', 'gossipsub']);
    expect(library.validateReceivedMessage).not.toBe(validateReceivedMessage);
    expect(library.sendRpc).toBe(sendRpc);
  });

  test('leaves all parts alone when none of its stages can work', () => {
    const { library, log, pubsub } = setUp('validateReceivedMessage');
    const incoming = [noting('first', library.calls)];
    new GossipInternals(pubsub, log).install({ incoming, outgoing: [], opening: [] });
    expect(library.validateReceivedMessage).toBeUndefined();
  });
});

describe('streams and meshes', () => {
  test('come from gossipsub', () => {
    const { library, log, pubsub } = setUp();
    const internals = new GossipInternals(pubsub, log);
    expect([peer(1), peer(2)].map((id) => internals.hasOutboundStream(id))).toEqual([true, false]);
    internals.reconnect(ID, {} as never);
    expect(library.calls).toEqual(['onPeerConnected']);
    expect(meshPeers(pubsub, 'a topic')).toEqual(['a topic of 1']);
  });

  test.each(['streamsOutbound', 'onPeerConnected', 'getMeshPeers'] as const)('do not throw without %s', (part) => {
    const { library, log, pubsub } = setUp(part);
    const internals = new GossipInternals(pubsub, log);
    expect(internals.hasOutboundStream(peer(1))).toBe(part !== 'streamsOutbound');
    internals.reconnect(ID, {} as never);
    expect(library.calls).toEqual(part === 'getMeshPeers' ? ['onPeerConnected'] : []);
    expect(meshPeers(pubsub, 'a topic')).toHaveLength(part === 'getMeshPeers' ? 0 : 1);
  });
});
