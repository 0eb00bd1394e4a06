// Reports of our own validation: who is penalized, who is not, and what is announced to the network.
import { describe, expect, test } from 'vitest';
import {
  decodeKafkaInvalidBlock,
  decodeKafkaInvalidSubtree,
  decodeKafkaRejectedTx,
  encodeKafkaInvalidBlock,
  encodeKafkaInvalidSubtree,
  encodeKafkaRejectedTx,
} from '../../../src/adapters/kafka/codec.ts';
import { validationReports } from '../../../src/bans/reports/validation-reports.ts';
import type { Hash, PeerId } from '../../../src/domain/ids.ts';
import type { PeerEvent } from '../../../src/domain/peer-history.ts';
import type { RejectedTxReport } from '../../../src/domain/report.ts';
import { Attribution } from '../../../src/peers/attribution.ts';
import type { PublishOutcome } from '../../../src/ports/p2p-node.ts';
import { P2P_SETTINGS } from '../../../src/settings/schema-p2p.ts';
import type { Decoded } from '../../../src/wire/fault.ts';
import { decodeRejectedTx, encodeRejectedTx } from '../../../src/wire/rejected-tx.ts';
import { peer } from '../../fakes/ban-parts.ts';
import { FakeClock, RecordedMetrics, recordingLogger } from '../../fakes/recorders.ts';

const [honest, bad, third, own, relay] = [peer(1), peer(2), peer(3), peer(4), peer(5)];
const URLS = new Map([
  [honest, 'http://honest.example/api/v1'],
  [bad, 'http://bad.example/api/v1'],
  [third, 'http://third.example/api/v1'],
]);
const urlOf = (id: PeerId) => URLS.get(id) ?? '';
const HASH = 'abcdef0123456789'.repeat(4) as Hash;
const TTL_MS = 60_000;

type Announced = readonly [author: PeerId, dataHubUrl?: string];

interface Circumstances {
  readonly isSyncing?: boolean;
  readonly isRunning?: boolean;
  readonly announcesRejected?: boolean;
  readonly rate?: { readonly perSecond: number; readonly burst: number };
  readonly publish?: () => Promise<PublishOutcome>;
  /** DataHubs as peers state them. */
  readonly dataHubs?: readonly Announced[];
  /** Whether experiences with peers are kept, as on message-bus. */
  readonly hasHistories?: boolean;
}

function setUp(announced: readonly Announced[] = [], options: Circumstances = {}) {
  const { isSyncing = false, isRunning = !isSyncing, announcesRejected = true } = options;
  const { dataHubs = [], hasHistories = false } = options;
  const failures: unknown[] = [];
  const histories = { record: async (peerId: PeerId, event: PeerEvent) => void failures.push([peerId, event]) };
  const clock = new FakeClock();
  const metrics = new RecordedMetrics();
  const log = recordingLogger();
  const charged: unknown[] = [];
  const noted: unknown[] = [];
  const told: unknown[] = [];
  const published: { bytes: Uint8Array }[] = [];
  const bounds = { maxAnnouncements: 100, ttlMs: TTL_MS };
  const blocks = new Attribution({ clock, metrics }, { kind: 'block', ...bounds });
  const subtrees = new Attribution({ clock, metrics }, { kind: 'subtree', ...bounds });
  const announce = ([author, dataHubUrl = urlOf(author)]: Announced) => {
    for (const each of [blocks, subtrees]) each.record(HASH, { author, receivedFrom: relay, dataHubUrl });
  };
  announced.forEach(announce);
  const handlers = validationReports({
    blocks,
    subtrees,
    offences: {
      addScore: (subject, reason, facts) => {
        (facts.role === 'datahub' ? noted : charged).push({ subject, reason, ...facts });
      },
    },
    dataHubs: () => dataHubs.map(([author, dataHubUrl = urlOf(author)]) => ({ author, dataHubUrl })),
    histories: hasHistories ? histories : undefined,
    isSyncing: () => isSyncing,
    isRunning: () => isRunning,
    announcesRejected,
    rejectedTxRate: options.rate ?? { perSecond: 0, burst: 1 },
    ownReasons: P2P_SETTINGS.p2p_report_own_reasons.default,
    ownId: own,
    announce: async (message) => {
      const outcome = await options.publish?.();
      published.push({ bytes: encodeRejectedTx(message) });
      return outcome ?? 'published';
    },
    notify: (notification) => told.push(notification),
    clock,
    log,
    metrics,
  });
  const outcomes = (kind: string) =>
    [
      'charged',
      'failure_recorded',
      'repeated',
      'announced',
      'suppressed',
      'unattributed',
      'ambiguous',
      'own',
      'own_reason',
      'not_ours',
      'busy',
      'undecodable',
    ].filter((outcome) => metrics.count('teranode_p2p_reports_total', { kind, outcome }) > 0);
  return { clock, log, metrics, handlers, charged, noted, failures, published, outcomes, announce };
}

const record = <T>(value: Decoded<T>, topic = 'reports') => ({ value, topic, offset: 7n });
function block(hash: string = HASH, peerId = '', peerUrl = '') {
  const bytes = encodeKafkaInvalidBlock({ hash: hash as Hash, reason: 'bad', peerId, peerUrl });
  return record(decodeKafkaInvalidBlock(bytes), 'invalid-blocks');
}
function subtree(peerUrl: string, hash: string = HASH, peerId = '') {
  const bytes = encodeKafkaInvalidSubtree({ hash: hash as Hash, peerUrl, reason: 'bad', peerId });
  return record(decodeKafkaInvalidSubtree(bytes), 'invalid-subtrees');
}

function charge(subject: PeerId, reason: 'invalid_block' | 'invalid_subtree') {
  const topic = reason === 'invalid_block' ? 'invalid-blocks' : 'invalid-subtrees';
  return [{ subject, reason, role: 'author', rule: `${reason}_report`, topic, hash: HASH }];
}

describe('an invalid block', () => {
  test.each<[string, Announced[], string, PeerId | undefined, string]>([
    ['one author', [[bad]], HASH, bad, 'charged'],
    ['the hash in upper case', [[bad]], HASH.toUpperCase(), bad, 'charged'],
    ['with a victim’s URL: its author', [[bad, urlOf(honest)]], HASH, bad, 'charged'],
    ['two authors', [[bad], [honest]], HASH, undefined, 'ambiguous'],
    ['two authors, the honest one first', [[honest], [bad]], HASH, undefined, 'ambiguous'],
    ['three authors', [[bad], [honest], [third]], HASH, undefined, 'ambiguous'],
    ['an unknown hash', [[bad]], 'cd'.repeat(32), undefined, 'unattributed'],
    ['nobody', [], HASH, undefined, 'unattributed'],
    ['our own', [[own]], HASH, undefined, 'own'],
    ['our own and another’s', [[own], [bad]], HASH, undefined, 'ambiguous'],
  ])('announced by %s', async (_what, announced, hash, subject, outcome) => {
    const { handlers, charged, outcomes } = setUp(announced);
    await handlers.invalidBlocks(block(hash));
    expect(charged).toEqual(subject === undefined ? [] : charge(subject, 'invalid_block'));
    expect(outcomes('invalid_block')).toEqual([outcome]);
  });

  test('penalizes nobody after the first of two announcements was forgotten, for a block or a subtree', async () => {
    const { handlers, charged, clock, outcomes, announce } = setUp([[bad]]);
    clock.advance(TTL_MS);
    announce([honest]);
    clock.advance(1);
    await handlers.invalidBlocks(block());
    await handlers.invalidSubtrees(subtree(urlOf(honest)));
    expect(charged).toEqual([]);
    expect([outcomes('invalid_block'), outcomes('invalid_subtree')]).toEqual([['ambiguous'], ['ambiguous']]);
  });

  test.each<[string, Announced[], string, string, Announced[], PeerId | undefined, string]>([
    ['names a peer: that peer, whoever announced it', [[honest], [third]], bad, '', [], bad, 'charged'],
    ['names us', [[bad]], own, '', [], undefined, 'own'],
    ['names a legacy peer: nobody', [[bad]], 'legacy:1.2.3.4:8333', urlOf(bad), [[bad]], undefined, 'unattributed'],
    ['names a URL: the author who announced the block', [[bad]], '', urlOf(third), [[third]], bad, 'charged'],
    ['names a URL and nobody announced it: its owner', [], '', `${urlOf(bad)}/`, [[honest], [bad]], bad, 'charged'],
    ['names a URL of two owners', [], '', urlOf(bad), [[third, urlOf(bad)], [bad]], undefined, 'ambiguous'],
    ['names a URL of nobody', [], '', urlOf(bad), [[honest]], undefined, 'unattributed'],
  ])('whose report %s', async (_what, announced, peerId, peerUrl, dataHubs, subject, outcome) => {
    const { handlers, charged, outcomes } = setUp(announced, { dataHubs });
    await handlers.invalidBlocks(block(HASH, peerId, peerUrl));
    expect(charged).toEqual(subject === undefined ? [] : charge(subject, 'invalid_block'));
    expect(outcomes('invalid_block')).toEqual([outcome]);
  });

  test('costs its author points once in ten minutes, and another author points of its own', async () => {
    const { handlers, charged, clock, outcomes, metrics } = setUp();
    for (const author of [bad, bad, third, bad]) await handlers.invalidBlocks(block(HASH, author));
    const once = [...charge(bad, 'invalid_block'), ...charge(third, 'invalid_block')];
    expect(charged).toEqual(once);
    expect(outcomes('invalid_block')).toEqual(['charged', 'repeated']);
    expect(metrics.gaugeValue('teranode_p2p_rule_entries', { kind: 'invalid_block_report' })).toBe(2);
    clock.advance(10 * 60_000 - 1);
    await handlers.invalidBlocks(block(HASH, bad));
    expect(charged).toEqual(once);
    clock.advance(2);
    await handlers.invalidBlocks(block(HASH, bad));
    expect(charged).toEqual([...once, ...charge(bad, 'invalid_block')]);
  });

  test('penalizes nobody after the announcement was forgotten', async () => {
    const { handlers, charged, clock } = setUp([[bad]]);
    clock.advance(TTL_MS + 1);
    await handlers.invalidBlocks(block());
    expect(charged).toEqual([]);
  });
});

describe('an invalid subtree', () => {
  test.each<[string, Announced[], string, PeerId | undefined, string]>([
    ['one author, fetched from him', [[bad]], urlOf(bad), bad, 'charged'],
    ['one author, no URL told', [[bad]], '', bad, 'charged'],
    ['one author, with a victim’s URL', [[bad, urlOf(honest)]], urlOf(honest), bad, 'charged'],
    ['one author, fetched from him, a slash more', [[bad]], `${urlOf(bad)}/`, bad, 'charged'],
    ['one author, fetched from elsewhere', [[honest]], urlOf(bad), undefined, 'unattributed'],
    [
      'one author, fetched from a URL that only begins like his',
      [[honest]],
      `${urlOf(honest)}/../x`,
      undefined,
      'unattributed',
    ],
    ['two authors, fetched from the bad one', [[honest], [bad]], urlOf(bad), bad, 'charged'],
    ['two authors, the bad one first', [[bad], [honest]], urlOf(bad), bad, 'charged'],
    ['two authors of one URL', [[honest], [bad, urlOf(honest)]], urlOf(honest), undefined, 'ambiguous'],
    ['two authors, no URL told', [[honest], [bad]], '', undefined, 'ambiguous'],
    ['two authors, fetched from a third URL', [[honest], [bad]], urlOf(third), undefined, 'unattributed'],
    ['nobody, whoever the URL belongs to', [], urlOf(honest), undefined, 'unattributed'],
    ['ourselves', [[own]], '', undefined, 'own'],
    ['ourselves and another, fetched from him', [[own], [bad]], urlOf(bad), bad, 'charged'],
  ])('announced by %s', async (_what, announced, url, subject, outcome) => {
    const { handlers, charged, outcomes } = setUp(announced);
    await handlers.invalidSubtrees(subtree(url));
    await handlers.invalidSubtrees(subtree(url, HASH.toUpperCase()));
    const once = subject === undefined ? [] : charge(subject, 'invalid_subtree');
    expect(charged).toEqual(once);
    expect(outcomes('invalid_subtree')).toEqual(outcome === 'charged' ? [outcome, 'repeated'] : [outcome]);
  });

  test.each<[string, Announced[], string, string, Announced[], PeerId | undefined, string]>([
    ['names a peer', [[honest]], bad, urlOf(third), [[third]], bad, 'failure_recorded'],
    ['names us', [[bad]], own, '', [], undefined, 'own'],
    ['names a URL that an announcement named', [[bad], [honest]], '', urlOf(bad), [], bad, 'failure_recorded'],
    ['names the URL of a peer that did not announce it', [[honest]], '', urlOf(bad), [[bad]], bad, 'failure_recorded'],
    ['names a URL of two owners', [], '', urlOf(bad), [[third, urlOf(bad)], [bad]], undefined, 'ambiguous'],
    ['names a URL of nobody', [[honest]], '', urlOf(bad), [], undefined, 'unattributed'],
    ['names nothing: the author who announced it', [[bad]], '', '', [[third]], bad, 'failure_recorded'],
  ])(
    'on message-bus costs reputation, not points, when its report %s',
    async (_what, announced, peerId, peerUrl, dataHubs, subject, outcome) => {
      const { handlers, charged, failures, outcomes } = setUp(announced, { dataHubs, hasHistories: true });
      await handlers.invalidSubtrees(subtree(peerUrl, HASH, peerId));
      expect(charged).toEqual([]);
      expect(failures).toEqual(subject === undefined ? [] : [[subject, { type: 'failure' }]]);
      expect(outcomes('invalid_subtree')).toEqual([outcome]);
    },
  );

  test('costs points where no experiences are kept, also when its report names the peer', async () => {
    const { handlers, charged, failures } = setUp([[honest]]);
    await handlers.invalidSubtrees(subtree('', HASH, bad));
    expect([charged, failures]).toEqual([charge(bad, 'invalid_subtree'), []]);
  });

  test('is recorded at the host from which it was fetched, once per report, in one form; at none without a URL', async () => {
    const { handlers, noted } = setUp([[bad]]);
    for (const url of ['http://Bad.Example.:8090/api', 'https://bad.example', '', 'nonsense'])
      await handlers.invalidSubtrees(subtree(url));
    const note = { subject: 'bad.example', reason: 'invalid_subtree', role: 'datahub', rule: 'datahub_report' };
    expect(noted).toEqual([1, 2].map(() => ({ ...note, topic: 'invalid-subtrees', hash: HASH })));
  });

  test('with a URL of 60 KB of slashes is handled quickly', async () => {
    const { handlers, charged } = setUp([[bad]]);
    const startedMs = performance.now();
    await handlers.invalidSubtrees(subtree(`http://x.example${'/'.repeat(60_000)}x`));
    expect(performance.now() - startedMs).toBeLessThan(500);
    expect(charged).toEqual([]);
  });
});

describe('a rejected transaction', () => {
  const rejected = (fields: { reason?: string; peerId?: string; txId?: string } = {}) =>
    record(
      decodeKafkaRejectedTx(
        encodeKafkaRejectedTx({ txId: HASH, reason: 'fee too low <1>', peerId: '', ...fields } as RejectedTxReport),
      ),
    );

  test('of our own validator is announced with exactly the bytes that Go would write', async () => {
    const { handlers, published, outcomes } = setUp();
    await handlers.rejectedTxs(rejected());
    const bytes = encodeRejectedTx({ txId: HASH, reason: 'fee too low <1>', peerId: own });
    expect(published).toEqual([{ bytes }]);
    expect(Buffer.from(bytes).toString()).toBe(
      `{"TxID":"${HASH}","Reason":"fee too low \\u003c1\\u003e","PeerID":"${own}"}`,
    );
    expect(outcomes('rejected_tx')).toEqual(['announced']);
  });

  const txId = (n: number) => n.toString(16).padStart(64, '0');
  const suppressed = (metrics: RecordedMetrics, reason: string) =>
    metrics.count('teranode_p2p_rejected_tx_publish_suppressed_total', { reason });

  test('is announced once within 30 s, whatever the case of its ID', async () => {
    const { handlers, published, clock, metrics, outcomes } = setUp();
    for (const id of [HASH, HASH.toUpperCase(), txId(1)]) await handlers.rejectedTxs(rejected({ txId: id }));
    clock.advance(29_999);
    await handlers.rejectedTxs(rejected());
    expect([published.length, suppressed(metrics, 'repeated')]).toEqual([2, 2]);
    clock.advance(1);
    await handlers.rejectedTxs(rejected());
    expect(published).toHaveLength(3);
    expect(outcomes('rejected_tx')).toEqual(['announced', 'suppressed']);
  });

  test('is announced at the rate of the settings, with their burst', async () => {
    const { handlers, published, clock, metrics } = setUp([], { rate: { perSecond: 10, burst: 100 } });
    const reject = async (from: number, count: number) => {
      for (let n = from; n < from + count; n += 1) await handlers.rejectedTxs(rejected({ txId: txId(n) }));
    };
    await reject(0, 5000);
    expect([published.length, suppressed(metrics, 'rate')]).toEqual([100, 4900]);
    clock.advance(1000);
    await reject(5000, 100);
    expect(published).toHaveLength(110);
    clock.advance(60_000);
    // A transaction that was suppressed was never announced.
    await reject(4000, 1000);
    expect(published).toHaveLength(210);
  });

  test('of very many leaves the memory at its bound', async () => {
    const { handlers, metrics } = setUp();
    for (let n = 0; n < 12_000; n += 1) await handlers.rejectedTxs(rejected({ txId: txId(n) }));
    expect(metrics.gaugeValue('teranode_p2p_rejected_tx_remembered')).toBe(10_000);
    expect(metrics.gaugeValue('teranode_p2p_rejected_tx_remembered_bound')).toBe(10_000);
  });

  test('whose announcement failed may be announced at once', async () => {
    let fails = true;
    const publish = async () => {
      if (fails) throw new Error('not started');
      return 'published' as const;
    };
    const { handlers, published } = setUp([], { publish });
    await expect(handlers.rejectedTxs(rejected())).rejects.toThrow('not started');
    fails = false;
    await handlers.rejectedTxs(rejected());
    expect(published).toHaveLength(1);
  });

  test.each([
    ['not_running', { isRunning: false }, 'busy'],
    ['listen_mode', { announcesRejected: false }, 'suppressed'],
  ] as const)('is not announced, and counted, for the reason %s', async (reason, options, outcome) => {
    const { handlers, published, metrics, outcomes } = setUp([], options);
    await handlers.rejectedTxs(rejected());
    expect([published.length, suppressed(metrics, reason)]).toEqual([0, 1]);
    expect(outcomes('rejected_tx')).toEqual([outcome]);
  });

  test('that a peer announced is not announced again, and nobody is penalized', async () => {
    const { handlers, published, charged, outcomes } = setUp([[bad]]);
    for (const peerId of [bad, own, 'x']) await handlers.rejectedTxs(rejected({ peerId }));
    expect(published).toEqual([]);
    expect(charged).toEqual([]);
    expect(outcomes('rejected_tx')).toEqual(['not_ours']);
  });

  test.each([
    ['long', 'x'.repeat(60_000)],
    ['full of what is escaped', '<'.repeat(60_000)],
    ['of three bytes a character', '語'.repeat(20_000)],
    ['of emoji', '🤖'.repeat(15_000)],
    ['of control characters', '\u0001'.repeat(60_000)],
  ])('with a reason that is %s passes the checks of other nodes', async (_what, reason) => {
    const { handlers, published } = setUp();
    await handlers.rejectedTxs(rejected({ reason }));
    const bytes = published[0]?.bytes ?? new Uint8Array();
    const message = { txId: HASH, peerId: own, reason: expect.stringMatching(/^[^\ufffd]+…$/u) };
    expect(decodeRejectedTx(bytes)).toMatchObject({ ok: true, message });
    // Where nodes like this one reject a message of this topic unread.
    expect(bytes.byteLength).toBeLessThanOrEqual(16 * 1024);
  });
});

describe('any report', () => {
  const REPORT = { hash: HASH, peerUrl: urlOf(bad), txId: HASH, reason: 'r', peerId: '' };
  const KINDS = {
    invalidBlocks: 'invalid_block',
    invalidSubtrees: 'invalid_subtree',
    rejectedTxs: 'rejected_tx',
  } as const;
  const DECODERS = {
    invalidBlocks: decodeKafkaInvalidBlock,
    invalidSubtrees: decodeKafkaInvalidSubtree,
    rejectedTxs: decodeKafkaRejectedTx,
  } as const;
  const names = Object.keys(KINDS) as (keyof typeof KINDS)[];

  test.each(names)('%s does nothing while the chain catches up or syncs', async (name) => {
    const { handlers, charged, published, outcomes } = setUp([[bad]], { isSyncing: true });
    await handlers[name](record({ ok: true, message: REPORT }));
    expect([charged, published]).toEqual([[], []]);
    expect(outcomes(KINDS[name])).toEqual(['busy']);
  });

  test('of an invalid block that names the peer costs it points during a catch-up, on message-bus', async () => {
    const options = { isSyncing: true, hasHistories: true };
    const named = setUp([], options);
    await named.handlers.invalidBlocks(block(HASH, bad));
    await named.handlers.invalidSubtrees(subtree('', HASH, bad));
    expect([named.charged, named.failures]).toEqual([charge(bad, 'invalid_block'), []]);
    const unnamed = setUp([[bad]], options);
    await unnamed.handlers.invalidBlocks(block());
    expect([unnamed.charged, unnamed.outcomes('invalid_block')]).toEqual([[], ['busy']]);
    const onGoP2p = setUp([], { isSyncing: true });
    await onGoP2p.handlers.invalidBlocks(block(HASH, bad));
    expect([onGoP2p.charged, onGoP2p.outcomes('invalid_block')]).toEqual([[], ['busy']]);
  });

  test.each(names)('%s that cannot be decoded is counted and skipped', async (name) => {
    const { handlers, charged, published, metrics } = setUp([[bad]]);
    for (const bytes of ['', 'junk', 'x'.repeat(70_000)].map((text) => Buffer.from(text))) {
      const value = DECODERS[name](bytes);
      expect(value.ok).toBe(false);
      if (!value.ok) await handlers[name](record(value));
    }
    expect([charged, published]).toEqual([[], []]);
    expect(metrics.count('teranode_p2p_reports_total', { kind: KINDS[name], outcome: 'undecodable' })).toBe(3);
  });
});
