// What `blame-scenarios` leaves out: subtrees that are fetched because of a block, reports that come late and out of
// order, announcements that have been forgotten in between. The network's truth is known here; the real parts must
// never charge an honest author.
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { validationReports } from '../../../src/bans/reports/validation-reports.ts';
import type { Hash } from '../../../src/domain/ids.ts';
import { Attribution } from '../../../src/peers/attribution.ts';
import { peer } from '../../fakes/ban-parts.ts';
import { startedBans } from '../../fakes/started-bans.ts';

const MINUTE_MS = 60_000;
const TTL_MS = 30 * MINUTE_MS;
const HONEST = 3;
const PEERS = 5;
const BLOCKS = 4;
const SUBTREES_OF_BLOCK = 2;

type Kind = 'block' | 'subtree';
const isHonest = (n: number) => n < HONEST;
const urlOf = (n: number) => `http://hub${n}.example/api/v1`;
/** Valid contents are those below these numbers; a block's subtrees follow from its number. */
const hashOf = (kind: Kind, n: number) =>
  `${kind === 'block' ? 'b' : '5'}${n.toString(16).padStart(3, '0')}`.repeat(16) as Hash;
const VALID = { block: BLOCKS, subtree: BLOCKS * SUBTREES_OF_BLOCK } as const;

interface Announcement {
  readonly kind: Kind;
  readonly content: number;
  readonly author: number;
  readonly host: number;
}

const kind = fc.constantFrom<Kind>('block', 'subtree');
const honest = fc.record({
  type: fc.constant('announce' as const),
  kind,
  content: fc.nat(7),
  author: fc.nat(HONEST - 1),
  host: fc.constant(-1),
});
const bad = fc.record({
  type: fc.constant('announce' as const),
  kind,
  content: fc.nat(10),
  author: fc.integer({ min: HONEST, max: PEERS - 1 }),
  host: fc.nat(PEERS - 1),
});
const step = fc.oneof(
  { weight: 3, arbitrary: honest },
  { weight: 3, arbitrary: bad },
  { weight: 4, arbitrary: fc.record({ type: fc.constant('fetch' as const), pick: fc.nat(99) }) },
  { weight: 3, arbitrary: fc.record({ type: fc.constant('report' as const), pick: fc.nat(99) }) },
  { weight: 1, arbitrary: fc.record({ type: fc.constant('time' as const), minutes: fc.nat(12) }) },
);

class Network {
  /** Invalid content that validation has not reported yet. */
  private readonly found: { kind: Kind; content: number; host: number; atMs: number }[] = [];
  private readonly announced: Announcement[] = [];
  reports = 0;
  private readonly parts: Awaited<ReturnType<typeof startedBans>>;
  private readonly attributions: Record<Kind, Attribution>;
  private readonly handlers: ReturnType<typeof validationReports>;

  constructor(parts: Awaited<ReturnType<typeof startedBans>>) {
    this.parts = parts;
    const options = { maxAnnouncements: 1000, ttlMs: TTL_MS };
    this.attributions = {
      block: new Attribution(parts, { kind: 'block', ...options }),
      subtree: new Attribution(parts, { kind: 'subtree', ...options }),
    };
    this.handlers = validationReports({
      ...parts,
      blocks: this.attributions.block,
      subtrees: this.attributions.subtree,
      offences: parts.bans,
      dataHubs: () => Array.from({ length: PEERS }, (_each, i) => ({ author: peer(i), dataHubUrl: urlOf(i) })),
      histories: undefined,
      isSyncing: () => false,
      isRunning: () => true,
      announcesRejected: true,
      rejectedTxRate: { perSecond: 0, burst: 1 },
      ownReasons: [],
      ownId: peer(99),
      announce: () => Promise.reject(new Error('nothing is published here')),
      notify: () => {},
    });
  }

  announce(each: Announcement): void {
    const author = peer(each.author);
    const host = isHonest(each.author) ? each.author : each.host;
    const content = isHonest(each.author) ? each.content % VALID[each.kind] : each.content;
    const hash = hashOf(each.kind, content);
    const attribution = this.attributions[each.kind];
    if (attribution.knows(hash, author)) return;
    attribution.record(hash, { author, receivedFrom: peer(98), dataHubUrl: urlOf(host) });
    this.announced.push({ ...each, content, host });
  }

  /** Validation fetches what was announced, and a block's subtrees, from the URL that the announcement named. */
  fetch(pick: number): void {
    const chosen = this.announced[pick % Math.max(1, this.announced.length)];
    if (chosen === undefined) return;
    this.judge(chosen.kind, chosen.content, chosen.host, pick);
    if (chosen.kind !== 'block' || chosen.content >= VALID.block) return;
    for (let i = 0; i < SUBTREES_OF_BLOCK; i += 1)
      this.judge('subtree', chosen.content * SUBTREES_OF_BLOCK + i, chosen.host, pick + i);
  }

  /**
   * An honest host serves what is right or an error. A bad one serves rubbish for subtrees when it likes, and for
   * blocks of its own.
   */
  private judge(of: Kind, content: number, host: number, whim: number): void {
    if (isHonest(host)) return;
    if (content < VALID[of] && (of === 'block' || whim % 2 === 0)) return;
    this.found.push({ kind: of, content, host, atMs: this.parts.clock.now() });
  }

  async report(pick: number): Promise<void> {
    const [told] = this.found.splice(pick % Math.max(1, this.found.length), 1);
    // A report older than the attribution looks like a report of a later announcement.
    if (told === undefined || this.parts.clock.now() - told.atMs > TTL_MS / 3) return;
    this.reports += 1;
    const hash = hashOf(told.kind, told.content);
    const report = { hash, peerUrl: urlOf(told.host), reason: '', peerId: '' };
    const handler = told.kind === 'block' ? this.handlers.invalidBlocks : this.handlers.invalidSubtrees;
    await handler({ value: { ok: true, message: report }, topic: 'reports', offset: 0n });
  }
}

test('200 scenarios of blocks whose subtrees are rubbish, and of late reports: no honest author has a score', async () => {
  let reports = 0;
  let charged = 0;
  await fc.assert(
    fc.asyncProperty(fc.array(step, { minLength: 10, maxLength: 80, size: 'max' }), async (steps) => {
      const parts = await startedBans({ threshold: 1_000_000 });
      const network = new Network(parts);
      for (const each of steps) {
        if (each.type === 'announce') network.announce(each);
        else if (each.type === 'fetch') network.fetch(each.pick);
        else if (each.type === 'report') await network.report(each.pick);
        else parts.clock.advance(each.minutes * MINUTE_MS);
      }
      for (let n = 0; n < HONEST; n += 1)
        expect(parts.bans.explain(peer(n)).offences, `honest author ${n}`).toEqual([]);
      for (let n = HONEST; n < PEERS; n += 1) charged += parts.bans.explain(peer(n)).offences.length;
      reports += network.reports;
      await parts.bans.stop();
    }),
    { numRuns: 200 },
  );
  // The scenarios are not empty: there was something to find, and it was found.
  expect(reports).toBeGreaterThan(200);
  expect(charged).toBeGreaterThan(100);
});
