// 200 random stories of authors, relays and reports between Go peers, a real broker and `npm start`: no innocent ever
// has a score or an offence, and whoever alone announced what was reported is charged for it.
import { randomBytes } from 'node:crypto';
import fc from 'fast-check';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { GoPeer } from '../support/go-peer.ts';
import { KafkaBroker } from '../support/kafka-broker.ts';
import { writeTopic } from '../support/kafka-writer.ts';
import {
  allTopics,
  blockFields,
  headerHash,
  kafkaSettings,
  mainnetHeaders,
  PSK,
  privateNetwork,
  protobufOf,
  topicsOf,
} from '../support/network.ts';
import { ServerProcess } from '../support/server-process.ts';
import { waitFor } from '../support/wait.ts';

const HONEST = 4;
const BAD = 3;
const PEERS = HONEST + BAD;
/** Those below are valid, and bad peers copy them. */
const VALID = 2;
const CONTENTS = 5;
/** Who dials whom; -1 is the server. What the bad ones say comes through honest peers, but for the last one. */
const DIALS = [-1, -1, 0, 1, 0, 1, -1];

type Kind = 'block' | 'subtree';

interface Announcement {
  readonly author: number;
  readonly kind: Kind;
  readonly content: number;
  /** Whose DataHub it names. */
  readonly host: number;
  readonly isUpper: boolean;
  /** An honest peer whose id it carries instead of the author's. */
  readonly claimed: number | undefined;
}

/** Of one of the announcements so far, or of what nobody announced. */
interface Report {
  readonly kind: Kind;
  readonly pick: number | undefined;
  readonly isUpper: boolean;
}

type Round = readonly [announcements: readonly Announcement[], reports: readonly Report[]];

const kind = fc.constantFrom<Kind>('block', 'subtree');
const honest = fc.nat(HONEST - 1);
const announcement: fc.Arbitrary<Announcement> = fc.oneof(
  fc
    .record({ author: honest, kind, content: fc.nat(VALID - 1) })
    .map((each) => ({ ...each, host: each.author, isUpper: false, claimed: undefined })),
  fc.record({
    author: fc.integer({ min: HONEST, max: PEERS - 1 }),
    kind,
    content: fc.nat(CONTENTS - 1),
    host: fc.nat(PEERS - 1),
    isUpper: fc.boolean(),
    claimed: fc.option(honest, { nil: undefined, freq: 5 }),
  }),
);
const report: fc.Arbitrary<Report> = fc.record({
  kind,
  pick: fc.option(fc.nat(99), { nil: undefined, freq: 9 }),
  isUpper: fc.boolean(),
});
const round: fc.Arbitrary<Round> = fc.tuple(
  fc.array(announcement, { minLength: 2, maxLength: 10, size: 'max' }),
  fc.array(report, { minLength: 3, maxLength: 6, size: 'max' }),
);

const topics = topicsOf('mainnet');
const headers = mainnetHeaders();
const urlOf = (peer: number) => `http://127.0.0.1:${7000 + peer}/api/v1`;
let broker: KafkaBroker;
let server: ServerProcess;
const peers: GoPeer[] = [];

beforeAll(async () => {
  broker = await KafkaBroker.start();
  server = await ServerProcess.start({
    settings: {
      ...privateNetwork('mainnet'),
      ...kafkaSettings(broker.address),
      p2p_ban_threshold: '1000000',
      // Forged announcements put the neighbours that bring them in debt, and authors with a score are not heard then.
      p2p_policy_shadow_rules: 'relay_rate',
      p2p_allow_private_datahubs: 'true',
      p2p_http_rate: '0',
    },
  });
  for (const dials of DIALS) {
    const peer = await GoPeer.start({
      psk: PSK,
      topics: allTopics('mainnet'),
    });
    peers.push(peer);
    const address = dials === -1 ? server.address : (peers[dials]?.addresses[0] ?? '');
    const other = dials === -1 ? server.peerId : (peers[dials]?.peerId ?? '');
    await peer.connect(address);
    await waitFor(
      async () => {
        const { mesh } = await peer.mesh();
        return [topics.block, topics.subtree].every((topic) => mesh[topic]?.includes(other));
      },
      { what: 'the mesh' },
    );
  }
});

afterAll(async () => {
  await Promise.all([...peers, server].map((each) => each?.stop()));
  await broker?.stop();
});

const idOf = (peer: number) => peers[peer]?.peerId ?? '';

interface Explained {
  readonly scores: readonly { readonly role: string; readonly score: number }[];
  readonly offences: readonly { readonly reason: string; readonly role: string; readonly hash?: string }[];
}

async function explained(peer: number): Promise<Explained> {
  const { status, body } = await server.get(`/api/v1/explain/${idOf(peer)}`);
  expect(status).toBe(200);
  return JSON.parse(body) as Explained;
}

async function heard(): Promise<number> {
  const of = (topic: Kind) => server.metric('teranode_p2p_gossip_messages_total', `topic="${topic}"`);
  return (await of('block')) + (await of('subtree'));
}

const reported = () => server.metric('teranode_p2p_reports_total');

let nextHeader = 1;

/** The world of one story: contents that no other has. */
class Story {
  /** Whoever alone had announced what was reported then. */
  readonly guilty: { readonly author: number; readonly kind: Kind; readonly hash: string }[] = [];
  private readonly announced: Announcement[] = [];
  private readonly blocks: readonly { readonly header: Buffer; readonly height: number }[];
  private readonly subtrees = Array.from({ length: CONTENTS }, () => randomBytes(32).toString('hex'));

  constructor() {
    this.blocks = Array.from({ length: CONTENTS }, (_each, i) => {
      const height = nextHeader + i;
      return { header: headers[height] ?? Buffer.alloc(80), height };
    });
    nextHeader += CONTENTS;
  }

  async announce(all: readonly Announcement[]): Promise<void> {
    const before = await heard();
    for (const each of all) {
      await peers[each.author]?.publish(topics[each.kind], JSON.stringify(this.fieldsOf(each)));
      // No validator sees what is refused, as it carries the name of another, nor what its author repeats, maybe with
      // another host.
      if (each.claimed === undefined && !this.isRepeated(each)) this.announced.push(each);
    }
    await waitFor(async () => (await heard()) === before + all.length, { what: 'the announcements' });
  }

  /**
   * The validator tells of invalid contents, and of valid ones that a bad peer's announcement led it to fetch from a
   * bad peer.
   */
  async report(all: readonly Report[]): Promise<void> {
    const before = await reported();
    const records: Record<Kind, Buffer[]> = { block: [], subtree: [] };
    for (const { kind: of, pick, isUpper } of all) {
      const leads = this.announced.filter(
        (each) => each.kind === of && each.author >= HONEST && (each.content >= VALID || each.host >= HONEST),
      );
      const lead = pick === undefined ? undefined : leads[pick % Math.max(1, leads.length)];
      const hash = lead === undefined ? randomBytes(32).toString('hex') : this.hashOf(of, lead.content);
      const spelled = isUpper ? hash.toUpperCase() : hash;
      const url = urlOf(lead?.host ?? 0);
      records[of].push(
        protobufOf(of === 'block' ? { 1: spelled, 2: 'invalid' } : { 1: spelled, 2: url, 3: 'invalid' }),
      );
      // A report of a subtree says which host served it.
      const authors = this.announced.filter(
        (each) => each.kind === of && each.content === lead?.content && (of === 'block' || each.host === lead.host),
      );
      if (lead !== undefined && authors.every(({ author }) => author === lead.author))
        this.guilty.push({ author: lead.author, kind: of, hash });
    }
    for (const of of ['block', 'subtree'] as const)
      if (records[of].length > 0) await writeTopic(broker.address, `invalid-${of}s`, records[of]);
    await waitFor(async () => (await reported()) === before + all.length, { timeoutMs: 60_000, what: 'the reports' });
  }

  private isRepeated({ author, kind: of, content }: Announcement): boolean {
    return this.announced.some((each) => each.author === author && each.kind === of && each.content === content);
  }

  private fieldsOf({ author, kind: of, content, host, isUpper, claimed }: Announcement) {
    const common = { DataHubURL: urlOf(host), PeerID: idOf(claimed ?? author) };
    const hash = this.hashOf(of, content);
    const Hash = isUpper ? hash.toUpperCase() : hash;
    const { header, height } = this.blocks[content] ?? { header: Buffer.alloc(80), height: 0 };
    return of === 'subtree' ? { Hash, ...common } : { ...blockFields(header, height, ''), Hash, ...common };
  }

  private hashOf(of: Kind, content: number): string {
    return of === 'block'
      ? headerHash(this.blocks[content]?.header ?? Buffer.alloc(80))
      : (this.subtrees[content] ?? '');
  }
}

test('200 random histories: no innocent peer has a score, and a sole author of reported content has one', {
  timeout: 600_000,
}, async () => {
  let charged = 0;
  let shared = 0;
  let forged = 0;
  await fc.assert(
    fc.asyncProperty(fc.tuple(round, round), async (rounds) => {
      const story = new Story();
      for (const [announcements, reports] of rounds) {
        await story.announce(announcements);
        await story.report(reports);
        forged += announcements.filter(({ claimed }) => claimed !== undefined).length;
        shared += reports.length;
      }
      charged += story.guilty.length;
      for (let peer = 0; peer < HONEST; peer += 1) {
        const { scores, offences } = await explained(peer);
        expect({ peer, scores, offences }).toEqual({ peer, scores: [], offences: [] });
      }
      for (const { author, kind: of, hash } of story.guilty) {
        const { scores, offences } = await explained(author);
        expect(scores).toContainEqual({ role: 'author', score: expect.any(Number) });
        expect(offences).toContainEqual(expect.objectContaining({ reason: `invalid_${of}`, role: 'author', hash }));
      }
    }),
    { numRuns: 200, endOnFailure: true },
  );
  expect(charged).toBeGreaterThan(100);
  expect(shared - charged).toBeGreaterThan(100);
  expect(forged).toBeGreaterThan(100);
  expect(await Promise.all(peers.map((peer, i) => DIALS[i] !== -1 || peer.isConnectedTo(server.peerId)))).toEqual(
    peers.map(() => true),
  );
});
