// 200 random networks of authors, relays, validators and their reports, through the real pipeline, while announcements
// expire and push out one another: no innocent ever has a score, and whoever alone announced invalid content pays for
// it.
import fc from 'fast-check';
import { expect, test } from 'vitest';
import {
  decodeKafkaInvalidBlock,
  decodeKafkaInvalidSubtree,
  encodeKafkaInvalidBlock,
  encodeKafkaInvalidSubtree,
} from '../../../src/adapters/kafka/codec.ts';
import { SqliteBanStore } from '../../../src/adapters/sql/sqlite-ban-store.ts';
import { validationReports } from '../../../src/bans/reports/validation-reports.ts';
import { BanService } from '../../../src/bans/service.ts';
import type { BlockHash, PeerId } from '../../../src/domain/ids.ts';
import { executor } from '../../../src/gossip/executor.ts';
import { SeenHashes } from '../../../src/gossip/limits/seen-hashes.ts';
import { decodersOf } from '../../../src/gossip/messages.ts';
import { topicPipeline } from '../../../src/gossip/pipeline.ts';
import { guardViews } from '../../../src/gossip/view.ts';
import { Attribution } from '../../../src/peers/attribution.ts';
import { PeerRegistry } from '../../../src/peers/registry.ts';
import type { TopicHandler } from '../../../src/ports/p2p-node.ts';
import { GO_P2P } from '../../../src/wire/format.ts';
import { NETWORKS } from '../../../src/wire/networks.ts';
import { peerIdFromPublicKey } from '../../../src/wire/peer-id.ts';
import { urlKey } from '../../../src/wire/url-key.ts';
import { FakeClock, RecordedMetrics, recordingLogger } from '../../fakes/recorders.ts';

const HONEST = 4;
const BAD = 3;
const PEERS = HONEST + BAD;
/** A peer id for each number; relays are the same peers. */
const IDS = Array.from(
  { length: PEERS + 1 },
  (_each, i) => peerIdFromPublicKey(Buffer.concat([Buffer.from('08011220', 'hex'), Buffer.alloc(32, i + 1)])) as PeerId,
);
const OWN = IDS[PEERS] as PeerId;
const isHonest = (peer: number) => peer < HONEST;
const urlOf = (peer: number) => `http://hub${peer}.example/api`;
const hashOf = (content: number) => content.toString(16).padStart(2, '0').repeat(32);

type Kind = 'block' | 'subtree';

/** What happens, in order. Contents below 100 are valid, the others are not; a hash stands for its content. */
type Step =
  | {
      readonly type: 'honest';
      readonly author: number;
      readonly relay: number;
      readonly kind: Kind;
      readonly content: number;
    }
  /**
   * A bad author: invalid or copied content, its own URL or a victim's, spelled as it likes, maybe under a victim's
   * name.
   */
  | {
      readonly type: 'bad';
      readonly author: number;
      readonly relay: number;
      readonly kind: Kind;
      readonly content: number;
      readonly url: number;
      readonly isUpper: boolean;
      readonly claimedId: number | undefined;
    }
  | { readonly type: 'validate'; readonly kind: Kind; readonly pick: number; readonly isUpper: boolean }
  | { readonly type: 'wait'; readonly minutes: number };

const kind = fc.constantFrom<Kind>('block', 'subtree');
const peer = fc.nat(PEERS - 1);
const step: fc.Arbitrary<Step> = fc.oneof(
  fc.record({
    type: fc.constant('honest' as const),
    author: fc.nat(HONEST - 1),
    relay: peer,
    kind,
    content: fc.nat(5),
  }),
  {
    weight: 3,
    arbitrary: fc.record({
      type: fc.constant('bad' as const),
      author: fc.integer({ min: HONEST, max: PEERS - 1 }),
      relay: peer,
      kind,
      content: fc.oneof(fc.nat(5), fc.integer({ min: 100, max: 112 })),
      url: peer,
      isUpper: fc.boolean(),
      claimedId: fc.option(fc.nat(HONEST - 1), { nil: undefined, freq: 6 }),
    }),
  },
  {
    arbitrary: fc.record({ type: fc.constant('validate' as const), kind, pick: fc.nat(99), isUpper: fc.boolean() }),
    weight: 4,
  },
  fc.record({ type: fc.constant('wait' as const), minutes: fc.integer({ min: 1, max: 40 }) }),
);

const TTL_MS = 60 * 60_000;
/** Announcements remembered: so few that they push out one another all the time, a handful, and all. */
const bound = fc.constantFrom(3, 8, 1000);

interface Announced {
  readonly author: number;
  readonly content: number;
  readonly url: string;
  /**
   * Which life of the hash it belongs to: a hash whose announcements have all left is a new one when it comes again.
   */
  readonly life: number;
}

/** The network's truth, beside the real parts that must find it out. */
class Scenario {
  readonly bans: BanService;
  /** Contents that were reported, and by whom alone they had been announced until then. */
  readonly guilty: { author: number; kind: Kind }[] = [];
  private readonly announced: Record<Kind, Announced[]> = { block: [], subtree: [] };
  private readonly attributions: Record<Kind, Attribution>;
  private readonly lives = new Map<string, number>();
  private readonly clock = new FakeClock();
  private readonly handlers: Record<Kind, TopicHandler>;
  private readonly reports: ReturnType<typeof validationReports>;
  private seqno = 0n;

  constructor(maxAnnouncements: number) {
    const { clock } = this;
    const metrics = new RecordedMetrics();
    const log = recordingLogger();
    const deps = { clock, metrics, log };
    this.bans = new BanService(
      { ...deps, store: new SqliteBanStore({ log }, { path: ':memory:' }) },
      {
        defaultDurationMs: 60_000,
        maxEntries: 1000,
        threshold: 1_000_000,
        durationMs: 60_000,
        isWhitelisted: () => false,
        isShadow: () => false,
      },
    );
    const options = { maxAnnouncements, ttlMs: TTL_MS };
    const blocks = new Attribution(deps, { kind: 'block', ...options });
    const subtrees = new Attribution(deps, { kind: 'subtree', ...options });
    this.attributions = { block: blocks, subtree: subtrees };
    const [guarded] = guardViews(
      {
        ownId: OWN,
        blocks,
        subtrees,
        chain: { heightOf: () => undefined, tip: () => undefined, isSyncing: () => false },
        isBanned: (peerId) => this.bans.isBanned(peerId),
        isLowReputation: () => false,
        isInGoodStanding: () => true,
        sync: { syncPeer: () => undefined },
        clock,
      },
      {
        powLimitBits: NETWORKS.regtest.powLimitBits,
        verifiesHeaderPow: true,
        requiresHeader: false,
        authorRate: { perSecond: 500, burst: 10_000 },
        sourceRate: { perSecond: 0, burst: 0 },
        dataHubUrls: () => ({ allowsPrivate: true, blacklist: [] }),
        maxHeightLead: 10_000,
        maxTargetRatio: 0,
      },
      [{ name: 'p', wire: GO_P2P, node: {} }],
    );
    if (guarded === undefined) throw new Error('no view');
    const { view } = guarded;
    const producer = {
      start: async () => {},
      publish: () => {},
      probe: async () => ({ ok: true, details: '' }),
      stop: async () => {},
    };
    const node = { updatePeerHeight: () => {} };
    const execute = executor({
      blocks,
      subtrees,
      seenHashes: new SeenHashes(clock, { maxPublishers: 3, ttlMs: 120_000, maxSize: 10_000 }),
      blockProducer: producer,
      subtreeProducer: producer,
      node,
      scores: this.bans,
      registry: new PeerRegistry(deps),
      notify: () => {},
      handshake: () => {},
      bestBlockAsked: () => {},
      ...deps,
    });
    const pipeline = (each: Kind) =>
      topicPipeline(each, { decode: decodersOf(GO_P2P), view, execute, isShadow: () => false, clock, log, metrics });
    this.handlers = { block: pipeline('block'), subtree: pipeline('subtree') };
    this.reports = validationReports({
      ...deps,
      blocks,
      subtrees,
      offences: this.bans,
      dataHubs: () => IDS.map((author, i) => ({ author, dataHubUrl: urlOf(i) })),
      histories: undefined,
      isSyncing: () => false,
      isRunning: () => true,
      announcesRejected: true,
      rejectedTxRate: { perSecond: 0, burst: 1 },
      ownReasons: [],
      ownId: OWN,
      announce: async () => 'published',
      notify: () => {},
    });
  }

  async run(steps: readonly Step[]): Promise<void> {
    await this.bans.start(new AbortController().signal);
    for (const each of steps) {
      if (each.type === 'validate') await this.validate(each);
      else if (each.type === 'wait') this.clock.advance(each.minutes * 60_000);
      else this.announce(each);
    }
    await this.bans.stop();
  }

  private announce(each: Exclude<Step, { type: 'validate' | 'wait' }>): void {
    const isForged = each.type === 'bad' && each.claimedId !== undefined;
    const url = urlOf(each.type === 'bad' ? each.url : each.author);
    const hash = hashOf(each.content);
    const claimed = isForged ? (each.claimedId ?? 0) : each.author;
    const fields = {
      Hash: each.type === 'bad' && each.isUpper ? hash.toUpperCase() : hash,
      ...(each.kind === 'block' ? { Height: 7 } : {}),
      DataHubURL: url,
      PeerID: IDS[claimed],
    };
    this.noteGone();
    this.seqno += 1n;
    this.handlers[each.kind]({
      topic: each.kind,
      bytes: Buffer.from(JSON.stringify(fields)),
      author: IDS[each.author] as PeerId,
      receivedFrom: IDS[each.relay] as PeerId,
      seqno: this.seqno,
    });
    this.noteGone();
    if (isForged) return;
    const life = this.lifeOf(each.kind, each.content);
    this.announced[each.kind].push({ author: each.author, content: each.content, url, life });
  }

  private lifeOf(of: Kind, content: number): number {
    return this.lives.get(`${of} ${content}`) ?? 0;
  }

  /** A forgotten announcement starts anew when it is repeated. */
  private noteGone(): void {
    for (const of of ['block', 'subtree'] as const)
      for (const { content, life } of this.announced[of])
        if (life === this.lifeOf(of, content) && this.heldOf(of, content).length === 0)
          this.lives.set(`${of} ${content}`, life + 1);
  }

  private heldOf(of: Kind, content: number) {
    return this.attributions[of].announcementsOf(hashOf(content) as BlockHash);
  }

  /** The validator fetches the content of one announcement, and reports it when it is invalid. */
  private async validate({ kind: of, pick, isUpper }: Extract<Step, { type: 'validate' }>): Promise<void> {
    this.noteGone();
    // A report that comes after its announcements were forgotten looks like a report of later announcements.
    const all = this.announced[of].filter(({ content, life }) => life === this.lifeOf(of, content));
    const chosen = all[pick % Math.max(1, all.length)];
    if (chosen === undefined) return;
    // An honest host serves the right bytes of valid hashes, and nothing of others; a bad one serves what it likes.
    const server = Number(/hub(\d+)/.exec(chosen.url)?.[1]);
    const isValid = chosen.content < 100 && isHonest(server);
    if (isValid) return;
    // What an honest host does not have it answers with an error, which is no report of invalid content.
    if (isHonest(server) && chosen.content >= 100) return;
    const hash = (isUpper ? hashOf(chosen.content).toUpperCase() : hashOf(chosen.content)) as BlockHash;
    const authors = new Set(all.filter(({ content }) => content === chosen.content).map(({ author }) => author));
    const isHeld = this.heldOf(of, chosen.content).some((each) => each.urlKey === urlKey(chosen.url));
    if (authors.size === 1 && isHeld) this.guilty.push({ author: chosen.author, kind: of });
    const report = { hash, peerUrl: chosen.url, reason: 'invalid', peerId: '' };
    const at = { topic: `invalid-${of}s`, offset: 0n };
    const { invalidBlocks, invalidSubtrees } = this.reports;
    if (of === 'block') await invalidBlocks({ ...at, value: decodeKafkaInvalidBlock(encodeKafkaInvalidBlock(report)) });
    else await invalidSubtrees({ ...at, value: decodeKafkaInvalidSubtree(encodeKafkaInvalidSubtree(report)) });
  }
}

test('200 scenarios of authors, relays and reports: no innocent has a score, a lone author of invalid content has', async () => {
  let reported = 0;
  let forged = 0;
  await fc.assert(
    fc.asyncProperty(fc.array(step, { minLength: 20, maxLength: 80, size: 'max' }), bound, async (steps, most) => {
      const scenario = new Scenario(most);
      await scenario.run(steps);
      for (let i = 0; i < HONEST; i += 1) {
        const { scores, offences } = scenario.bans.explain(IDS[i] as PeerId);
        expect({ peer: i, scores, offences }).toEqual({ peer: i, scores: [], offences: [] });
      }
      for (const { author } of scenario.guilty)
        expect(scenario.bans.explain(IDS[author] as PeerId).offences).not.toEqual([]);
      for (const id of IDS) for (const { role } of scenario.bans.explain(id).scores) expect(role).toBe('author');
      reported += scenario.guilty.length;
      forged += steps.filter((each) => each.type === 'bad' && each.claimedId !== undefined).length;
    }),
    { numRuns: 200 },
  );
  // The scenarios are not empty: there was something to find.
  expect(reported).toBeGreaterThan(50);
  expect(forged).toBeGreaterThan(50);
}, 120_000);
