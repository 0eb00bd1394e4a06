// The way of messages through the real guards: what is played again, said under two prefixes, or fails on our side.
import fc from 'fast-check';
import { expect, test } from 'vitest';
import type { PeerId } from '../../../src/domain/ids.ts';
import type { Effect } from '../../../src/gossip/effects.ts';
import { decodersOf } from '../../../src/gossip/messages.ts';
import { topicPipeline } from '../../../src/gossip/pipeline.ts';
import { guardViews } from '../../../src/gossip/view.ts';
import { Attribution } from '../../../src/peers/attribution.ts';
import { GO_P2P } from '../../../src/wire/format.ts';
import { NETWORKS } from '../../../src/wire/networks.ts';
import { peer } from '../../fakes/ban-parts.ts';
import { FakeClock, RecordedMetrics, recordingLogger } from '../../fakes/recorders.ts';

const BURST = 20;
const PER_SECOND = 2;
const [OWN, HONEST, ATTACKER] = [peer(99), peer(1), peer(2)];

interface SetUp {
  /** Names of the networks; default one. */
  readonly networks?: readonly string[];
  /** Whether each has a node of its own. */
  readonly ownNodes?: boolean;
  readonly execute?: () => void;
  readonly connectedSinceMs?: () => number;
}

interface Heard {
  readonly author?: PeerId;
  readonly receivedFrom?: PeerId;
  readonly network?: string;
  /** Default: the network's own. */
  readonly topic?: string;
  readonly hash?: bigint;
  /** PeerID in the message; default: the author. */
  readonly claimed?: PeerId;
}

function setUp(options: SetUp = {}) {
  const clock = new FakeClock();
  const metrics = new RecordedMetrics();
  const log = recordingLogger();
  const bounds = { maxAnnouncements: 100_000, ttlMs: 3_600_000 };
  const blocks = new Attribution({ clock, metrics }, { kind: 'block', ...bounds });
  const subtrees = new Attribution({ clock, metrics }, { kind: 'subtree', ...bounds });
  const makeNode = () => ({ connectedSinceMs: options.connectedSinceMs ?? (() => undefined) });
  const shared = makeNode();
  const views = guardViews(
    {
      ownId: OWN,
      blocks,
      subtrees,
      chain: { heightOf: () => undefined, tip: () => undefined, isSyncing: () => false },
      isBanned: () => false,
      isLowReputation: () => false,
      isInGoodStanding: () => true,
      sync: { syncPeer: () => undefined },
      clock,
    },
    {
      powLimitBits: NETWORKS.regtest.powLimitBits,
      verifiesHeaderPow: true,
      requiresHeader: false,
      authorRate: { perSecond: PER_SECOND, burst: BURST },
      sourceRate: { perSecond: 0, burst: 0 },
      dataHubUrls: () => ({ allowsPrivate: true, blacklist: [] }),
      maxHeightLead: 10_000,
      maxTargetRatio: 0,
    },
    (options.networks ?? ['a']).map((name) => ({ name, wire: GO_P2P, node: options.ownNodes ? makeNode() : shared })),
  );
  const offences: Effect[] = [];
  const execute = (effects: readonly Effect[]) => {
    options.execute?.();
    for (const effect of effects) {
      if (effect.type === 'offence') offences.push(effect);
      if (effect.type === 'attribute_subtree') subtrees.record(effect.hash, effect);
    }
  };
  const deps = { decode: decodersOf(GO_P2P), execute, isShadow: () => false, clock, log, metrics };
  const handlers = new Map(
    views.map(({ network, view }) => [network.name, topicPipeline('subtree', { ...deps, view })] as const),
  );
  const hear = (seqno: bigint, heard: Heard = {}) => {
    const { author = HONEST, receivedFrom = HONEST, network = 'a', hash = seqno, claimed = author } = heard;
    const handler = handlers.get(network);
    if (handler === undefined) throw new Error(`no network ${network}`);
    const topic = heard.topic ?? `${network}-subtree`;
    return handler({ topic, bytes: subtree(claimed, hash), author, receivedFrom, seqno });
  };
  return { clock, metrics, log, offences, hear };
}

function subtree(author: PeerId, hash: bigint): Buffer {
  const fields = { Hash: hash.toString(16).padStart(64, '0'), DataHubURL: 'http://hub.example', PeerID: author };
  return Buffer.from(JSON.stringify(fields));
}

test('replays of six minutes of an author cost the author nothing, and its new messages pass meanwhile', () => {
  const { clock, hear, offences } = setUp();
  let seqno = 1_000n;
  const say = () => {
    seqno += 1n;
    return hear(seqno);
  };
  for (let i = 0; i < 360; i += 1) {
    expect(say()).toBe('accept');
    clock.advance(1000);
  }
  for (let i = 0; i < 60; i += 1) {
    for (let old = 1_001n; old < 1_241n; old += 1n) hear(old, { receivedFrom: ATTACKER });
    expect(say()).toBe('accept');
    clock.advance(1000);
  }
  expect(offences).toEqual([]);
});

test('old faulty messages that others play again cost their author nothing while it is heard, and new ones do', () => {
  const { clock, hear, offences } = setUp();
  let seqno = 1_000n;
  const say = (fault = {}) => {
    seqno += 1n;
    return hear(seqno, fault);
  };
  for (let i = 0; i < 180; i += 1) {
    say();
    clock.advance(1000);
  }
  for (let old = 1_001n; old < 1_006n; old += 1n) hear(old, { receivedFrom: ATTACKER, claimed: ATTACKER });
  expect(offences).toEqual([]);
  say({ receivedFrom: ATTACKER, claimed: ATTACKER });
  hear(1_006n, { claimed: ATTACKER });
  expect(offences).toMatchObject([{ rule: 'author_mismatch' }, { rule: 'author_mismatch' }]);
});

test('scores an author above its rate', () => {
  const { clock, hear, offences } = setUp();
  const rules = () => offences.map((each) => ('rule' in each ? each.rule : ''));
  for (let n = 0n; n < 25n; n += 1n) hear(n);
  expect(rules()).toEqual(['author_rate']);
  clock.advance(5000);
  for (let n = 100n; n < 140n; n += 1n) hear(n);
  expect(rules()).toEqual(['author_rate', 'author_rate', 'author_flood']);
});

test('limits an author that starts with a high number and floods lower ones through a neighbour to a tenth above its rate', () => {
  const { clock, hear } = setUp();
  hear(1_000_000_000n, { receivedFrom: ATTACKER });
  const flood = (seconds: number) => {
    let passed = 0;
    for (let second = 0; second < seconds; second += 1) {
      clock.advance(1000);
      for (let i = 0; i < 20; i += 1) {
        high += 1n;
        low += 1n;
        for (const seqno of [high, low]) if (hear(seqno, { receivedFrom: ATTACKER }) === 'accept') passed += 1;
      }
    }
    return passed;
  };
  let [high, low] = [1_000_000_000n, 0n];
  flood(60);
  expect(flood(100)).toBeLessThanOrEqual(100 * PER_SECOND * 1.1 + 1);
});

test('a recording of many messages that somebody plays again in their order is no flood of their author', () => {
  const { clock, hear, offences } = setUp();
  for (let n = 0n; n < 1000n; n += 1n) {
    hear(n, { receivedFrom: ATTACKER });
    clock.advance(2);
  }
  expect(offences).toMatchObject([{ rule: 'author_rate' }]);
});

test('takes lower numbers that the author itself sends from its own rate, and scores the excess', () => {
  const { hear, offences } = setUp();
  hear(1_000n);
  for (let n = 0n; n < 40n; n += 1n) hear(n);
  expect(offences).toMatchObject([{ rule: 'author_rate' }, { rule: 'author_flood' }]);
});

test('accepts a neighbour that restarted with its clock set back at once on its new connection, and only there', () => {
  let connectedMs = 0;
  const { clock, hear } = setUp({ connectedSinceMs: () => connectedMs });
  connectedMs = clock.monotonic() - 1000;
  expect(hear(9_000n)).toBe('accept');
  clock.advance(60_000);
  expect(hear(1_000n)).toBe('ignore');
  connectedMs = clock.monotonic();
  expect(hear(1_001n, { receivedFrom: ATTACKER })).toBe('ignore');
  expect(hear(1_002n)).toBe('accept');
  expect(hear(1_003n, { receivedFrom: ATTACKER })).toBe('accept');
});

/**
 * What happens, in order: the author says something that arrives at once or late, is silent or restarts; somebody plays
 * old messages.
 */
type Step =
  | { readonly type: 'say'; readonly delayS: number }
  | { readonly type: 'pause'; readonly seconds: number }
  | { readonly type: 'restart' }
  | { readonly type: 'replay'; readonly from: number; readonly count: number; readonly isBackwards: boolean };

const step: fc.Arbitrary<Step> = fc.oneof(
  { weight: 8, arbitrary: fc.record({ type: fc.constant('say' as const), delayS: fc.nat(5) }) },
  { weight: 2, arbitrary: fc.record({ type: fc.constant('pause' as const), seconds: fc.nat(400) }) },
  fc.record({ type: fc.constant('restart' as const) }),
  {
    weight: 4,
    arbitrary: fc.record({
      type: fc.constant('replay' as const),
      from: fc.nat(200),
      count: fc.nat(200),
      isBackwards: fc.boolean(),
    }),
  },
);

/** The seen-cache lets a message through again after this. */
const SEEN_S = 120;

test('accepts each message of an author below its rate, unscored, in 200 random histories of replays', () => {
  fc.assert(
    fc.property(fc.array(step, { minLength: 20, maxLength: 100 }), (steps) => {
      const { clock, hear, offences } = setUp();
      let [nowS, next] = [0, 1_000_000n];
      const said: { seqno: bigint; atS: number; lastS: number | undefined }[] = [];
      const verdicts: string[] = [];
      const pass = (seconds: number) => {
        clock.advance(1000 * seconds);
        nowS += seconds;
        for (const message of said.slice(-10)) {
          if (message.lastS !== undefined || message.atS > nowS) continue;
          message.lastS = nowS;
          verdicts.push(hear(message.seqno));
        }
      };
      const say = (delayS: number) => {
        next += 1n;
        said.push({ seqno: next, atS: nowS + delayS, lastS: undefined });
        pass(1);
      };
      say(0);
      for (const each of steps) {
        if (each.type === 'say') say(each.delayS);
        else if (each.type === 'pause') {
          pass(6);
          pass(each.seconds);
        } else if (each.type === 'restart') next += 1_000_000n;
        else {
          const chosen = said.slice(each.from % said.length).slice(0, each.count);
          for (const message of each.isBackwards ? chosen.reverse() : chosen) {
            if (message.lastS === undefined || nowS - message.lastS < SEEN_S) continue;
            message.lastS = nowS;
            hear(message.seqno, { receivedFrom: ATTACKER });
          }
        }
      }
      pass(6);
      expect(verdicts).toEqual(said.map(() => 'accept'));
      expect(offences).toEqual([]);
    }),
    { numRuns: 200 },
  );
});

test('passes a message once under another prefix without a token; repetitions take one', () => {
  const { hear, metrics, offences } = setUp({ networks: ['a', 'b', 'c'] });
  expect(hear(1n, { hash: 7n })).toBe('accept');
  for (const network of ['b', 'c']) expect(hear(2n, { hash: 7n, network })).toBe('accept');
  const again = Array.from({ length: 50_000 }, (_each, i) => hear(BigInt(3 + i), { hash: 7n, network: 'b' }));
  expect(again.filter((verdict) => verdict === 'accept')).toEqual([]);
  const count = (reason: string) => metrics.count('teranode_p2p_gossip_messages_total', { reason });
  expect({
    free: count('other_prefix'),
    repeated: count('duplicate'),
    over: count('author_rate') + count('author_flood'),
  }).toEqual({
    free: 2,
    repeated: BURST - 1,
    over: 50_000 - BURST + 1,
  });
  expect(offences).toHaveLength(2);
});

test('two nodes whose networks have the same topic names: a message is forwarded in both and counts once', () => {
  const { hear, metrics, clock, offences } = setUp({ networks: ['a', 'b'], ownNodes: true });
  const topic = 'same-subtree';
  expect(hear(100n, { hash: 7n, topic })).toBe('accept');
  expect(hear(900n, { hash: 7n, topic, network: 'b' })).toBe('accept');
  expect(hear(901n, { hash: 7n, topic, network: 'b' })).toBe('ignore');
  const count = (reason: string) => metrics.count('teranode_p2p_gossip_messages_total', { reason });
  expect([count('processed'), count('other_prefix'), count('duplicate')]).toEqual([1, 1, 1]);
  // Each node numbers its messages by itself: a high number in one network makes no low number in the other a replay.
  clock.advance(60_000);
  expect(hear(101n, { topic })).toBe('accept');
  expect(hear(100n, { topic, network: 'b' })).toBe('ignore');
  expect(offences).toEqual([]);
});

test('logs failures of our handler at once, then once per ten seconds with their number', () => {
  const { clock, log, hear, metrics } = setUp({
    execute: () => {
      throw new Error('full');
    },
  });
  const lines = () => log.lines.filter(({ level }) => level === 'error').map(({ fields }) => fields.suppressed);
  let seqno = 0n;
  const fail = (times: number) => {
    for (let i = 0; i < times; i += 1) {
      seqno += 1n;
      expect(hear(seqno, { author: peer(1000 + Number(seqno)) })).toBe('ignore');
    }
  };
  fail(1000);
  expect(lines()).toEqual([0]);
  clock.advance(9999);
  fail(1);
  expect(lines()).toEqual([0]);
  clock.advance(1);
  fail(500);
  expect(lines()).toEqual([0, 1000]);
  clock.advance(3_600_000);
  fail(1);
  expect(lines()).toEqual([0, 1000, 499]);
  expect(metrics.count('teranode_p2p_gossip_messages_total', { reason: 'handler_failed' })).toBe(1502);
});
