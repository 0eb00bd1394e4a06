// The choice of the sync peer by validated work: a table for each rule, and properties that hold for any set of peers.
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { PeerId } from '../../../src/domain/ids.ts';
import {
  chooseByWork,
  isAhead,
  isAheadByWork,
  type WorkCandidate,
  type WorkSnapshot,
  workFitnessOf,
} from '../../../src/sync/choose-by-work.ts';
import { historyWith } from '../../fakes/peer-histories.ts';
import { hashOf, NOW_MS, OWN_HEIGHT } from './rows.ts';
import { OWN_WORK, previously, validated, workCandidate, workSnapshot } from './work-rows.ts';

const MINUTE = 60_000;
const HOUR = 60 * MINUTE;
const never = () => {
  throw new Error('the choice must not be random');
};

function choose(candidates: readonly WorkCandidate[], changes: Partial<WorkSnapshot> = {}, random = () => 0) {
  return chooseByWork(workSnapshot(candidates, changes), random);
}

function chosen(candidates: readonly WorkCandidate[], changes: Partial<WorkSnapshot> = {}, random = () => 0) {
  const choice = choose(candidates, changes, random);
  return choice.outcome === 'chosen' ? choice.peer.peerId : choice.why;
}

/** Delivered a validated block an hour ago, unless said otherwise. */
const delivered = (name: string, agoMs = HOUR, changes: Parameters<typeof historyWith>[1] = {}) => ({
  history: historyWith(name, { blocksReceived: 1, lastBlockMs: NOW_MS - agoMs, ...changes }),
});
const rated = (reputation: number) => ({ history: historyWith('p', { reputation }) });

describe('fitness of a peer to sync from, by validated work', () => {
  const at = { height: 500, hash: hashOf('claim') };
  test.each<[string, Partial<WorkCandidate>, string]>([
    ['a peer that claims to be ahead', {}, 'fit'],
    [
      'a peer ahead by validated work that claims nothing',
      { claimed: undefined, ...validated('p', 2000n, 400) },
      'fit',
    ],
    [
      'a peer ahead by validated work at our height',
      { claimed: { height: OWN_HEIGHT, hash: hashOf('x') }, ...validated('p', 2000n, 90) },
      'fit',
    ],
    ['an unconnected author', { isConnected: false }, 'fit'],
    ['a pruned node', { storage: 'pruned' }, 'fit'],
    ['a peer whose DataHub was not checked yet', { dataHubHealth: 'unknown' }, 'fit'],
    ['a banned peer', { isBanned: true }, 'banned'],
    ['a peer without a usable DataHub URL', { dataHubUrl: undefined }, 'no_datahub'],
    ['a peer with an empty DataHub URL', { dataHubUrl: '' }, 'no_datahub'],
    ['a peer without claim and history', { claimed: undefined }, 'no_best_hash'],
    ['a peer that claims a height without a hash', { claimed: { height: 500, hash: undefined } }, 'no_best_hash'],
    ['a peer at our height', { claimed: { height: OWN_HEIGHT, hash: hashOf('x') } }, 'not_ahead'],
    [
      'a peer with as much validated work as ours',
      { claimed: { height: 3, hash: hashOf('x') }, ...validated('p', OWN_WORK, 100) },
      'not_ahead',
    ],
    ['a claim that our chain disproves', { claimed: at, proven: { height: 42, hash: at.hash } }, 'not_ahead'],
    ['a reputation of 20', rated(20), 'fit'],
    ['a reputation below 20', rated(19.9), 'low_reputation'],
    ['an attempt just under a minute ago', { triedMs: NOW_MS - MINUTE + 1 }, 'cooling_down'],
    ['an attempt a minute ago', { triedMs: NOW_MS - MINUTE }, 'fit'],
    ['a peer whose DataHub does not answer', { dataHubHealth: 'unhealthy' }, 'datahub_unhealthy'],
  ])('%s', (_what, changes, expected) => {
    const fitness = workFitnessOf(workCandidate('p', 500, changes), workSnapshot([]));
    expect(fitness.isFit ? 'fit' : fitness.why).toBe(expected);
  });

  test('validated work does not count during the penalty for an incomplete block, and counts again afterwards', () => {
    const until = (fullStoragePenaltyUntilMs: number) =>
      workCandidate('p', 500, validated('p', 2000n, 400, { fullStoragePenaltyUntilMs }));
    expect(isAheadByWork(until(NOW_MS + 1), workSnapshot([]))).toBe(false);
    expect(isAheadByWork(until(NOW_MS), workSnapshot([]))).toBe(true);
  });

  test('validated work cannot be compared while our own is unknown, so then claims count', () => {
    const peer = workCandidate('p', 99, validated('p', 2000n, 400));
    expect(isAhead(peer, workSnapshot([], { ownWork: undefined }))).toBe(false);
    expect(chosen([peer, workCandidate('q', 101)], { ownWork: undefined })).toBe('q');
  });
});

describe('what is fetched from the chosen peer', () => {
  test.each<[string, Partial<WorkCandidate>, { height: number; hash: string }]>([
    ['its best block', {}, { height: 500, hash: hashOf('p500') }],
    [
      'its best block, when that is above the validated one',
      validated('p', 2000n, 400),
      { height: 500, hash: hashOf('p500') },
    ],
    [
      'the validated block, when its claim is below that',
      validated('p', 2000n, 600),
      { height: 600, hash: hashOf('p at 600') },
    ],
    [
      'the validated block, when it claims nothing',
      { claimed: undefined, ...validated('p', 2000n, 400) },
      { height: 400, hash: hashOf('p at 400') },
    ],
  ])('%s', (_what, changes, expected) => {
    const choice = choose([workCandidate('p', 500, changes)]);
    expect(choice).toMatchObject({ outcome: 'chosen', peer: { peerId: 'p', dataHubUrl: 'http://p', ...expected } });
  });
});

describe('candidates for the sync', () => {
  const proven = workCandidate('proven', 150, validated('proven', 1001n, 150));
  const claims = workCandidate('claims', 1_000_000);

  test.each<[string, WorkCandidate[], string]>([
    ['are peers ahead by validated work, however little', [claims, proven], 'proven'],
    [
      'are peers with greater claims when nobody is ahead by validated work',
      [claims, workCandidate('level', 9, validated('level', OWN_WORK, 9))],
      'claims',
    ],
    [
      'are peers with greater claims when the DataHub of those with validated work does not answer',
      [claims, { ...proven, dataHubHealth: 'unhealthy' }],
      'claims',
    ],
    [
      'are not peers with greater claims while one with validated work was tried a moment ago',
      [claims, { ...proven, triedMs: NOW_MS }],
      'none_usable',
    ],
  ])('%s', (_what, candidates, expected) => {
    expect(chosen(candidates)).toBe(expected);
    expect(chosen(candidates.toReversed())).toBe(expected);
  });

  test('with greater claims count as probes, and none is chosen when no probe is left', () => {
    expect(choose([claims])).toMatchObject({ peer: { isProbe: true } });
    expect(choose([proven])).toMatchObject({ peer: { isProbe: false } });
    expect(chosen([claims], { probesLeft: 0 })).toBe('none_usable');
    expect(chosen([claims, proven], { probesLeft: 0 })).toBe('proven');
  });

  test('that delivered a validated block lately are no probes, whatever they claim', () => {
    const known = workCandidate('known', 150, delivered('known'));
    expect(choose([known, claims], { probesLeft: 0 })).toMatchObject({ peer: { peerId: 'known', isProbe: false } });
    const old = workCandidate('old', 150, delivered('old', 24 * HOUR + 1));
    expect(chosen([old], { probesLeft: 0 })).toBe('none_usable');
  });

  test('are full nodes, and pruned ones only when no full one qualifies and they are allowed', () => {
    const pruned = workCandidate('pruned', 500, { storage: 'pruned', ...validated('pruned', 9000n, 500) });
    const full = workCandidate('full', 150, validated('full', 1001n, 150));
    const silent = workCandidate('silent', 500, { storage: undefined });
    expect(chosen([pruned, full])).toBe('full');
    expect(chosen([pruned, { ...full, dataHubHealth: 'unhealthy' }])).toBe('pruned');
    expect(chosen([silent])).toBe('silent');
    expect(chosen([pruned], { allowsPruned: false })).toBe('none_usable');
    expect(chosen([silent], { allowsPruned: false })).toBe('none_usable');
  });

  test('that delivered an incomplete block do not count as full for the time of the penalty', () => {
    const incomplete = workCandidate('a', 500, {
      history: historyWith('a', { fullStoragePenaltyUntilMs: NOW_MS + 1 }),
    });
    expect(chosen([incomplete, workCandidate('b', 500)], {}, () => 0)).toBe('b');
    expect(chosen([incomplete], { allowsPruned: false })).toBe('none_usable');
    expect(chosen([incomplete])).toBe('a');
  });

  test('that claim to be full and were not checked in time do not hide a pruned one that answers', () => {
    const invented = workCandidate('invented', 201, { dataHubHealth: 'unknown', isConnected: false });
    const honest = workCandidate('honest', 200, { storage: 'pruned' });
    const known = workCandidate('known', 200, { storage: 'pruned', ...delivered('known') });
    for (const each of [honest, known]) expect(chosen([invented, each], { awaitsChecks: false })).toBe(each.peerId);
  });

  test('that claim to be full and never delivered come after a pruned one that delivered', () => {
    const known = workCandidate('known', 200, { storage: 'pruned', ...delivered('known') });
    expect(chosen([workCandidate('claims', 1_000_000), known])).toBe('known');
    expect(chosen([workCandidate('claims', 1_000_000), known], { allowsPruned: false })).toBe('claims');
  });

  test('that claim to be full and failed before come after pruned ones without a failed attempt', () => {
    const liar = workCandidate('liar', 1_000_000, { failedAttempts: 1 });
    expect(chosen([liar, workCandidate('honest', 200, { storage: 'pruned' })])).toBe('honest');
    expect(chosen([liar, workCandidate('honest', 200, { storage: 'pruned' })], { allowsPruned: false })).toBe('liar');
  });
});

describe('the order of candidates', () => {
  test.each<[string, WorkCandidate[]]>([
    [
      'a validated block delivered within 24 h comes before more validated work',
      [
        workCandidate('a', 500, validated('a', 1001n, 200, { blocksReceived: 1, lastBlockMs: NOW_MS - HOUR })),
        workCandidate('b', 500, validated('b', 9000n, 400)),
      ],
    ],
    [
      'more validated work comes before a better reputation',
      [
        workCandidate('a', 500, validated('a', 2001n, 200, { reputation: 20 })),
        workCandidate('b', 500, validated('b', 2000n, 400, { reputation: 100 })),
      ],
    ],
    [
      'a better reputation comes before a shorter response time',
      [
        workCandidate('a', 500, validated('a', 2000n, 200, { reputation: 60, avgResponseMs: 9000 })),
        workCandidate('b', 500, validated('b', 2000n, 200, { reputation: 54, avgResponseMs: 10 })),
      ],
    ],
    [
      'a known response time comes before an unknown one',
      [
        workCandidate('a', 500, validated('a', 2000n, 200, { avgResponseMs: 20_000 })),
        workCandidate('b', 500, validated('b', 2000n, 200)),
      ],
    ],
    [
      'a shorter response time comes before a lower ban score',
      [
        workCandidate('a', 500, { score: 50, ...validated('a', 2000n, 200, { avgResponseMs: 100 }) }),
        workCandidate('b', 500, validated('b', 2000n, 200, { avgResponseMs: 126 })),
      ],
    ],
    ['a lower ban score comes first', [workCandidate('a', 500, { score: 4 }), workCandidate('b', 500, { score: 10 })]],
    [
      'of peers without proof the one with fewer failed attempts comes first, whatever its reputation',
      [
        workCandidate('a', 500, { failedAttempts: 1, ...rated(20) }),
        workCandidate('b', 500, { failedAttempts: 2, ...rated(90) }),
      ],
    ],
    [
      'of peers without proof a connected one comes before one that is not',
      [workCandidate('a', 500, rated(20)), workCandidate('b', 500, { isConnected: false, ...rated(90) })],
    ],
  ])('%s', (_what, candidates) => {
    for (const number of [0, 0.5, 0.99]) {
      expect(chosen(candidates, {}, () => number)).toBe('a');
      expect(chosen(candidates.toReversed(), {}, () => number)).toBe('a');
    }
  });

  test('failed attempts do not count against a peer with validated work', () => {
    const candidates = [
      workCandidate('a', 500, { failedAttempts: 9, ...validated('a', 2001n, 200) }),
      workCandidate('b', 500, validated('b', 2000n, 200)),
    ];
    expect(chosen(candidates)).toBe('a');
  });
});

describe('the top band', () => {
  const peer = (name: string, changes: Parameters<typeof historyWith>[1] = {}, score = 0) =>
    workCandidate(name, 500, {
      score,
      ...validated(name, 2000n, 200, { reputation: 60, avgResponseMs: 1000, ...changes }),
    });
  const all = (candidates: WorkCandidate[], changes: Partial<WorkSnapshot> = {}) => [
    ...new Set([0, 0.2, 0.4, 0.6, 0.8, 0.999, 1].map((number) => chosen(candidates, changes, () => number))),
  ];

  test('holds peers within 5 of reputation and ban score and 25 % of response time, and one of them is drawn', () => {
    const first = peer('first', { avgResponseMs: 1000 });
    const candidates = [
      first,
      peer('reputation', { reputation: 55 }),
      peer('score', {}, 5),
      peer('slower', { avgResponseMs: 1250 }),
      peer('faster', { reputation: 58, avgResponseMs: 750 }),
      peer('too-bad', { reputation: 54.9 }),
      peer('too-many-points', {}, 6),
      peer('too-slow', { avgResponseMs: 1251 }),
      peer('unknown', { avgResponseMs: 0 }),
    ];
    expect(all(candidates).toSorted()).toEqual(['faster', 'first', 'reputation', 'score', 'slower']);
  });

  test('holds fast peers within 25 ms', () => {
    const candidates = [
      peer('a', { avgResponseMs: 10 }),
      peer('b', { avgResponseMs: 35 }),
      peer('c', { avgResponseMs: 36 }),
    ];
    expect(all(candidates)).toEqual(['a', 'b']);
  });

  test('keeps the previous peer, unless it failed', () => {
    const candidates = [peer('a'), peer('b'), peer('c')];
    expect(chosen(candidates, previously('b'), never)).toBe('b');
    expect(all(candidates, previously('b', true))).toEqual(['a', 'c']);
  });

  test('does not hold a previous peer that is worse now', () => {
    expect(chosen([peer('a'), peer('b', { reputation: 40 })], previously('b'))).toBe('a');
  });
});

describe('a previous peer that failed', () => {
  test.each<[string, WorkCandidate[], string]>([
    [
      'comes after a worse one',
      [
        workCandidate('best', 500, validated('best', 3000n, 300)),
        workCandidate('worse', 500, validated('worse', 1001n, 200)),
      ],
      'worse',
    ],
    [
      'comes after one that only claims to be ahead',
      [workCandidate('best', 500, validated('best', 3000n, 300)), workCandidate('claims', 101)],
      'claims',
    ],
    ['is chosen again when it is the only one', [workCandidate('best', 500)], 'best'],
  ])('%s', (_what, candidates, expected) => {
    expect(chosen(candidates, previously('best', true))).toBe(expected);
  });
});

describe('a DataHub that was not checked yet', () => {
  const unchecked = workCandidate('best', 500, { dataHubHealth: 'unknown', ...validated('best', 3000n, 300) });
  const checked = workCandidate('worse', 500, validated('worse', 2000n, 200));

  test('is checked before a worse peer is chosen, as long as the choice may wait', () => {
    expect(choose([unchecked, checked])).toEqual({ outcome: 'nobody', why: 'awaiting_check', urls: ['http://best'] });
    expect(chosen([unchecked, checked], { awaitsChecks: false })).toBe('worse');
    expect(chosen([unchecked], { awaitsChecks: false })).toBe('none_usable');
  });

  test('is not waited for when an equally good peer is known to answer', () => {
    const equal = workCandidate('equal', 500, validated('equal', 3000n, 300));
    for (const number of [0, 0.99]) expect(chosen([unchecked, equal], {}, () => number)).toBe('equal');
  });

  test('is one of at most eight that are checked at a time, and another number draws others', () => {
    const many = Array.from({ length: 50 }, (_, i) => workCandidate(`p${i}`, 500, { dataHubHealth: 'unknown' }));
    const first = [0, 0.5, 0.99].map((number) => {
      const choice = choose(many, {}, () => number);
      if (choice.outcome !== 'nobody' || choice.why !== 'awaiting_check') throw new Error('a peer was chosen');
      expect(new Set(choice.urls).size).toBe(8);
      return choice.urls[0];
    });
    expect(new Set(first).size).toBe(3);
  });
});

describe('no sync peer is chosen by validated work', () => {
  test.each<[string, WorkCandidate[], string]>([
    ['without candidates', [], 'no_peers'],
    [
      'when nobody can be asked',
      [workCandidate('p', 900, { isBanned: true }), workCandidate('q', 900, { dataHubUrl: '' })],
      'no_peers',
    ],
    ['when nobody is ahead', [workCandidate('p', 99), workCandidate('q', 900, { dataHubUrl: undefined })], 'level'],
    [
      'when those ahead have a low reputation',
      [workCandidate('p', 99), workCandidate('q', 200, rated(5))],
      'none_usable',
    ],
    ['when those ahead were just tried', [workCandidate('p', 200, { triedMs: NOW_MS - 1 })], 'none_usable'],
  ])('%s', (_what, candidates, why) => {
    expect(choose(candidates, {}, never)).toEqual({ outcome: 'nobody', why });
  });
});

describe('a forced sync peer, by validated work', () => {
  const forcedPeer = 'forced' as PeerId;
  const better = workCandidate('better', 900, validated('better', 9000n, 900));
  const forced = (changes: Partial<WorkCandidate> = {}) => workCandidate('forced', 200, changes);
  test.each<[string, WorkCandidate[], string]>([
    ['is chosen before better peers', [better, forced()], 'forced'],
    ['is chosen although it is banned', [better, forced({ isBanned: true })], 'forced'],
    ['is chosen with a low reputation', [better, forced(rated(5))], 'forced'],
    ['is chosen although it was just tried', [better, forced({ triedMs: NOW_MS })], 'forced'],
    ['is chosen although its DataHub does not answer', [better, forced({ dataHubHealth: 'unhealthy' })], 'forced'],
    ['is chosen without full storage', [better, forced({ storage: 'pruned' })], 'forced'],
    ['is not replaced when absent', [better], 'forced_absent'],
    ['is not chosen with a blacklisted DataHub', [better, forced({ dataHubUrl: undefined })], 'forced_unusable'],
    ['is not chosen when level', [better, workCandidate('forced', OWN_HEIGHT)], 'level'],
  ])('%s', (_what, candidates, expected) => {
    const changes = { forcedPeer, probesLeft: 0, allowsPruned: false, ...previously('forced', true) };
    expect(chosen(candidates, changes, never)).toBe(expected);
  });

  test('is no probe', () => {
    expect(choose([forced()], { forcedPeer })).toMatchObject({ outcome: 'chosen', peer: { isProbe: false } });
  });
});

describe('for any set of peers and histories', () => {
  const anyHistory = fc.option(
    fc.record({
      reputation: fc.constantFrom(5, 20, 50, 53, 90),
      avgResponseMs: fc.constantFrom(0, 100, 120, 2000),
      blocksReceived: fc.integer({ min: 0, max: 1 }),
      lastBlockMs: fc.constantFrom(undefined, NOW_MS - HOUR, NOW_MS - 25 * HOUR),
      fullStoragePenaltyUntilMs: fc.constantFrom(undefined, NOW_MS, NOW_MS + 1),
      validated: fc.option(
        fc.record({
          height: fc.integer({ min: 95, max: 110 }),
          hash: fc.constant(hashOf('v')),
          chainWork: fc.bigInt({ min: 998n, max: 1002n }),
          atMs: fc.constant(1),
        }),
        { nil: undefined },
      ),
    }),
    { nil: undefined },
  );
  const anyCandidate = fc
    .record({
      isConnected: fc.boolean(),
      isBanned: fc.boolean(),
      score: fc.constantFrom(0, 3, 8),
      claimed: fc.option(
        fc.record({ height: fc.integer({ min: 95, max: 110 }), hash: fc.constantFrom(hashOf('x'), undefined) }),
        { nil: undefined },
      ),
      dataHubUrl: fc.constantFrom(undefined, '', 'http://hub'),
      dataHubHealth: fc.constantFrom('unknown', 'healthy', 'unhealthy'),
      storage: fc.constantFrom('full', 'pruned', undefined),
      failedAttempts: fc.integer({ min: 0, max: 2 }),
      triedMs: fc.constantFrom(undefined, NOW_MS - MINUTE, NOW_MS - 1),
      history: anyHistory,
    })
    .map(({ history, ...rest }) => ({ ...rest, history: history && historyWith('p', history) }));
  const anyCandidates = fc
    .array(anyCandidate, { maxLength: 12 })
    .map((all): WorkCandidate[] => all.map((each, i) => workCandidate(`p${i}`, 0, each)));
  const chance = fc.double({ min: 0, max: 1, noNaN: true });
  const anyChanges = fc.record({
    probesLeft: fc.integer({ min: 0, max: 1 }),
    allowsPruned: fc.boolean(),
    awaitsChecks: fc.boolean(),
    previous: fc.option(
      fc.record({ peerId: fc.constantFrom('p0' as PeerId, 'p1' as PeerId), hasFailed: fc.boolean() }),
      {
        nil: undefined,
      },
    ),
  });

  test('the choice breaks no rule', () => {
    fc.assert(
      fc.property(anyCandidates, anyChanges, chance, (candidates, changes, number) => {
        const choice = choose(candidates, changes, () => number);
        if (choice.outcome === 'nobody') return;
        const row = candidates.find(({ peerId }) => peerId === choice.peer.peerId);
        expect(row).toMatchObject({ isBanned: false, dataHubUrl: 'http://hub', dataHubHealth: 'healthy' });
        expect(row?.history?.reputation ?? 50).toBeGreaterThanOrEqual(20);
        expect(row?.triedMs).not.toBe(NOW_MS - 1);
        if (choice.peer.isProbe) expect(changes.probesLeft).toBe(1);
        if (!changes.allowsPruned) expect(row?.storage).toBe('full');
        expect(row && isAhead(row, workSnapshot([]))).toBe(true);
      }),
    );
  });

  test('a peer that only claims to be ahead is not chosen while another one is ahead by validated work', () => {
    fc.assert(
      fc.property(anyCandidates, chance, (candidates, number) => {
        const choice = choose(candidates, {}, () => number);
        if (choice.outcome === 'nobody') return;
        const view = workSnapshot([]);
        const fit = candidates.filter((each) => workFitnessOf(each, view).isFit && isAheadByWork(each, view));
        const row = candidates.find(({ peerId }) => peerId === choice.peer.peerId);
        if (fit.length > 0) expect(row && isAheadByWork(row, view)).toBe(true);
      }),
    );
  });

  test('the same random numbers give the same choice, whatever the order of the peers', () => {
    const shuffled = anyCandidates.chain((all) =>
      fc.tuple(fc.constant(all), fc.shuffledSubarray(all, { minLength: all.length })),
    );
    fc.assert(
      fc.property(shuffled, anyChanges, chance, ([candidates, other], changes, number) => {
        expect(choose(other, changes, () => number)).toEqual(choose(candidates, changes, () => number));
      }),
    );
  });
});

describe('first deliveries decide among equally good peers only', () => {
  const near = (name: string, deliveryShare: number, changes: Partial<WorkCandidate> = {}) =>
    workCandidate(name, 500, { deliveryShare, ...changes });

  test('of equally good peers one of the best first deliverers is chosen', () => {
    const peers = [near('a', 0), near('b', 0.5), near('c', 0.3)];
    expect([chosen(peers, {}, () => 0), chosen(peers, {}, () => 0.99)]).toEqual(['b', 'c']);
  });

  test('the previous peer is kept, whoever delivers first', () => {
    expect(chosen([near('a', 0), near('b', 1)], previously('a'), () => 0.99)).toBe('a');
  });

  test('validated work comes before first deliveries', () => {
    expect(chosen([near('a', 1), near('b', 0, validated('b', 2000n, 400))], {}, () => 0.99)).toBe('b');
  });
});
