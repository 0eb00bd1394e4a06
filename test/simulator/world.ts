// The world of one story: machines with our nodes, adversaries, the links between them, and what really happened, which
// our nodes are compared with.
import { generateKeyPairFromSeed } from '@libp2p/crypto/keys';
import type { BlockHash, PeerId } from '../../src/domain/ids.ts';
import type { DataHubProber } from '../../src/ports/datahub-prober.ts';
import type { Logger } from '../../src/ports/log.ts';
import type { ValidationDecision } from '../../src/ports/p2p-node.ts';
import { parseKafkaUrl } from '../../src/settings/kafka-url.ts';
import { loadSettings, type Settings } from '../../src/settings/load.ts';
import { busTopicNames, fullTopicNames } from '../../src/settings/topic-names.ts';
import { type TopicKind, WIRE_FORMATS, type WireFormat, type WireName } from '../../src/wire/format.ts';
import { peer } from '../fakes/ban-parts.ts';
import { Adversary, type Forwarding } from './adversary.ts';
import { Blocks, SimulatedChain } from './blocks.ts';
import { Links } from './links.ts';
import { createMember, type Member } from './member.ts';
import { Random } from './random.ts';
import { SharedStore } from './shared-store.ts';
import { type Identity, type SignedMessage, SimulatedNode } from './simulated-node.ts';
import { Trace } from './trace.ts';
import { type ReportedBlock, type Served, Validation } from './validation.ts';
import { EPOCH_MS, VirtualTime } from './virtual-time.ts';

/** A record that the pipeline of a node handed to Kafka. */
export interface HandedOn {
  readonly kind: 'block' | 'subtree';
  readonly hash: string;
  readonly url: string;
  readonly peerId: string;
  readonly atMs: number;
  readonly wasBanned: boolean;
}

/** A report, and who had announced the block to this node when it was written. */
export type AttributedReport = ReportedBlock & { readonly authors: readonly PeerId[] };

/** A machine with one of our nodes. Chain, store and clock outlast the process. */
export interface Machine {
  readonly identity: Identity;
  readonly url: string;
  readonly settings: Settings;
  readonly dials: readonly PeerId[];
  readonly chain: SimulatedChain;
  readonly store: SharedStore;
  readonly random: Random;
  skewMs: number;
  member: Member | undefined;
  validation: Validation | undefined;
  /** Of the running process. */
  handedOn: HandedOn[];
  /** Of the running process: authors of the accepted announcements of a block. */
  announced: Map<string, Set<PeerId>>;
  /** Reports of its validation: those since the last check, and the others. */
  readonly reports: AttributedReport[];
  readonly checked: AttributedReport[];
  /** Offences of the running process that the invariants were checked with. */
  explainedOffences: number;
}

export interface WorldOptions {
  readonly seed: number;
}

const PRIVATE_KEY = await generateKeyPairFromSeed('Ed25519', new Uint8Array(32));
const FORWARDINGS: readonly Forwarding[] = ['everything', 'everything', 'nothing', 'late'];
/** Number of a network address in 10.0.0.0/16. */
const ADVERSARY_ADDRESSES = 100;

const loaded = new Map<string, Settings>();

/** Settings of a node, with the limits small so that short stories reach them. */
function settingsOf(wire: WireName, threshold: number): Settings {
  const key = `${wire} ${threshold}`;
  let settings = loaded.get(key);
  if (settings === undefined) {
    const env = {
      ...{
        network: 'regtest',
        p2p_port: '9905',
        p2p_wire: wire,
        p2p_block_topic: 'block',
        p2p_subtree_topic: 'subtree',
      },
      ...{ p2p_handshake_topic: 'handshake', p2p_mining_on_topic: 'miningon', p2p_rejected_tx_topic: 'rejected_tx' },
      ...{ asset_httpAddress: 'http://localhost:8090/api/v1', p2p_ban_threshold: String(threshold) },
      ...{ p2p_author_rate: '10', p2p_author_burst: '40', p2p_relay_rate: '100', p2p_shared_key: 'ab'.repeat(32) },
      ...{
        p2p_dht_use_private: 'true',
        p2p_history_days: '0',
        p2p_seen_hash_max_size: '200',
        p2p_peer_map_max_size: '300',
      },
    };
    settings = loadSettings({ folder: undefined, env, context: 'dev' }).settings;
    loaded.set(key, settings);
  }
  return settings;
}

export class World {
  readonly time = new VirtualTime();
  readonly trace = new Trace(this.time);
  readonly random: Random;
  readonly links: Links;
  readonly blocks = new Blocks();
  readonly wire: WireFormat;
  readonly topics: { readonly [K in TopicKind]?: string };
  readonly machines: readonly Machine[];
  readonly adversaries: readonly Adversary[];
  readonly settings: Settings;
  /** What was really signed: `author hash url`. */
  readonly signed = new Set<string>();
  /** Errors that our nodes logged. */
  readonly errors: string[] = [];
  private readonly secrets = new Map<PeerId, number>();
  private readonly stores = new Set<SharedStore>();

  constructor({ seed }: WorldOptions) {
    this.random = new Random(seed);
    const { random, time, trace } = this;
    this.wire = WIRE_FORMATS[random.chance(0.7) ? 'go-p2p' : 'message-bus'];
    this.settings = settingsOf(this.wire.name, random.pick([20, 40, 100]));
    this.topics = this.wire.name === 'go-p2p' ? fullTopicNames(this.settings) : busTopicNames(this.settings);
    const link = { maxLatencyMs: random.pick([20, 200, 900]), maxLoss: random.pick([0, 0.1, 0.3]) };
    this.links = new Links({ time, trace, random: random.fork() }, link);
    const honest = 3 + random.below(3);
    const adversaries = 1 + random.below(3);
    const identities = Array.from({ length: honest }, (_each, n) => this.identity(n, `n${n}`, n + 1));
    const isShared = random.chance(0.5);
    const shared = this.newStore(isShared);
    this.machines = identities.map((identity, n) =>
      this.machine(identity, this.dialsOf(n, identities), n < 2 && isShared ? shared : this.newStore(false)),
    );
    // Sybils of one operator have one address, which may be that of an honest node behind the same router.
    const address = random.chance(0.3) ? 1 + random.below(honest) : ADVERSARY_ADDRESSES;
    this.adversaries = Array.from({ length: adversaries }, (_each, n) => {
      const identity = this.identity(honest + n, `x${n}`, address);
      const first = random.below(honest);
      const dials = [first, ...(random.chance(0.4) ? [(first + 1) % honest] : [])].map((m) => peer(m));
      return new Adversary(
        { ...this, onPublished: (each) => this.published(each) },
        identity,
        dials,
        random.pick(FORWARDINGS),
      );
    });
    for (const adversary of this.adversaries) this.links.add(adversary);
    const { name: wire } = this.wire;
    trace.note(`${honest} nodes, ${adversaries} adversaries, ${wire}, threshold ${this.settings.p2p_ban_threshold}`);
    trace.note(
      `latency to ${link.maxLatencyMs} ms, loss to ${link.maxLoss}, ${isShared ? 'n0 and n1 share bans' : 'no shared bans'}`,
    );
  }

  get up(): readonly (Machine & { readonly member: Member })[] {
    return this.machines.filter((each): each is Machine & { member: Member } => each.member !== undefined);
  }

  isHonest(id: string): boolean {
    return this.machines.some(({ identity }) => identity.id === id);
  }

  async boot(machine: Machine): Promise<void> {
    const { trace } = this;
    machine.handedOn = [];
    machine.explainedOffences = -1;
    machine.announced = new Map();
    const member = await this.newMember(machine);
    const validation = this.newValidation(machine, member);
    await this.time.complete(
      (async () => {
        await validation.start(new AbortController().signal);
        await member.start();
      })(),
    );
    machine.member = member;
    machine.validation = validation;
    trace.note(`${machine.identity.name} is up`);
  }

  async shutDown(machine: Machine): Promise<void> {
    const { member, validation } = machine;
    machine.member = undefined;
    machine.validation = undefined;
    await this.time.complete(Promise.all([validation?.stop(), member?.stop()]));
    this.trace.note(`${machine.identity.name} is down`);
  }

  async close(): Promise<void> {
    for (const machine of this.up) await this.shutDown(machine);
    for (const store of this.stores) await store.close();
  }

  private identity(n: number, name: string, address: number): Identity {
    const identity = { id: peer(n), name, ip: `10.0.0.${address}`, secret: 1000 + n };
    this.secrets.set(identity.id, identity.secret);
    return identity;
  }

  private newStore(isShared: boolean): SharedStore {
    const store = new SharedStore({ time: this.time, log: this.logOf('store') }, isShared);
    this.stores.add(store);
    return store;
  }

  /** A line of nodes and some more connections, so that honest nodes stay connected whatever adversaries do. */
  private dialsOf(n: number, identities: readonly Identity[]): readonly PeerId[] {
    return identities.filter((_each, m) => m < n && (m === n - 1 || this.random.chance(0.4))).map(({ id }) => id);
  }

  private machine(identity: Identity, dials: readonly PeerId[], store: SharedStore): Machine {
    const url = `http://hub-${identity.name}.example.org/api/v1`;
    return {
      ...{ identity, url, dials, store, settings: { ...this.settings, asset_httpPublicAddress: url } },
      ...{ chain: new SimulatedChain(this.blocks.genesis), random: this.random.fork(), skewMs: 0 },
      ...{
        member: undefined,
        validation: undefined,
        handedOn: [],
        announced: new Map(),
        reports: [],
        checked: [],
        explainedOffences: 0,
      },
    };
  }

  private async newMember(machine: Machine): Promise<Member> {
    const { identity, settings, chain, store, url, random } = machine;
    const { time } = this;
    const clock = { now: () => Math.floor(EPOCH_MS + time.nowMs + machine.skewMs), monotonic: () => time.nowMs };
    const node = {
      ...{ time, links: this.links, secretOf: (author: PeerId) => this.secrets.get(author) },
      onDecided: (message: SignedMessage, from: PeerId, decision: ValidationDecision) =>
        this.decided(machine, message, from, decision),
      onPublished: (message: SignedMessage) => this.published(message),
      skewMs: () => machine.skewMs,
    };
    return await createMember({
      ...{ settings, clock, log: this.logOf(identity.name), random: random.next, store: store.connection(), chain },
      facts: { privateKey: PRIVATE_KEY, version: 'v0.0.0-simulated', dataFolder: '/nonexistent' },
      ...{ prober: this.proberOf(machine), dataHubUrl: url },
      makeNode: (policy) => new SimulatedNode({ ...node, policy }, identity, machine.dials),
      onHandedOn: (kind, { hash, url: from, peerId }) => {
        const wasBanned = machine.member?.bans.isBanned(peerId as PeerId) === true;
        machine.handedOn.push({ kind, hash, url: from, peerId, atMs: time.nowMs, wasBanned });
      },
    });
  }

  private newValidation(machine: Machine, { memoryBroker, metrics }: Member): Validation {
    const { identity, chain, settings } = machine;
    const { time, trace, blocks } = this;
    return new Validation(
      {
        ...{ time, trace, blocks, chain, metrics, broker: memoryBroker, name: identity.name },
        ...{ log: this.logOf(identity.name), random: machine.random.fork() },
        fetch: (url, hash) => this.fetch(machine, url, hash),
        onReport: (report) => {
          machine.reports.push({ ...report, authors: [...(machine.announced.get(report.hash) ?? [])] });
        },
      },
      {
        blocksTopic: parseKafkaUrl(settings.kafka_blocksConfig).topic,
        reportsTopic: parseKafkaUrl(settings.kafka_invalidBlocksConfig).topic,
        namesPeer: this.wire.name === 'message-bus',
      },
    );
  }

  /** What a DataHub answers to a machine. */
  private fetch({ identity }: Machine, url: string, hash: BlockHash): Served {
    const machine = this.machines.find((each) => each.url === url);
    const adversary = this.adversaries.find((each) => each.url === url);
    const owner = machine?.identity.id ?? adversary?.id;
    if (owner === undefined || !this.links.isOpenPath(identity.id, owner)) return undefined;
    if (adversary !== undefined) return adversary.serve(hash);
    return machine?.member !== undefined && machine.chain.has(hash) ? this.blocks.get(hash) : undefined;
  }

  private proberOf({ identity }: Machine): DataHubProber {
    return {
      probe: async (url) => {
        await this.time.pause(50);
        const machine = this.machines.find((each) => each.url === url);
        const isAlive =
          machine === undefined
            ? this.adversaries.some((each) => each.url === url)
            : machine.member !== undefined && this.links.isOpenPath(identity.id, machine.identity.id);
        return isAlive
          ? { outcome: 'alive', reason: 'answered', details: 'status 200' }
          : { outcome: 'dead', reason: 'unreachable', details: 'no connection' };
      },
    };
  }

  private decided(machine: Machine, message: SignedMessage, from: PeerId, decision: ValidationDecision): void {
    const { identity } = machine;
    const { topic, author, seqno } = message;
    const kind = this.kindOf(topic);
    this.trace.note(
      `. ${identity.name} ${decision} ${kind} ${seqno % 1_000_000n} of ${this.links.nameOf(author)} from ${this.links.nameOf(from)}`,
    );
    if (kind !== 'block' || decision !== 'accept') return;
    const decoded = this.wire.decode.block(message.bytes);
    if (!decoded.ok) return;
    const authors = machine.announced.get(decoded.message.hash) ?? new Set();
    machine.announced.set(decoded.message.hash, authors.add(author));
  }

  private published(message: SignedMessage): void {
    const kind = this.kindOf(message.topic);
    if (kind !== 'block' && kind !== 'subtree') return;
    const decoded = this.wire.decode[kind](message.bytes);
    if (decoded.ok) this.signed.add(`${message.author} ${decoded.message.hash} ${decoded.message.dataHubUrl}`);
  }

  private kindOf(topic: string): string {
    return Object.entries(this.topics).find(([, name]) => name === topic)?.[0] ?? topic;
  }

  private logOf(name: string): Logger {
    const quiet = () => {};
    const shown = (fields: object, event: string) => this.trace.note(`. ${name} logs: ${event} ${shortFields(fields)}`);
    const error = (fields: object, event: string) => {
      this.errors.push(`${name} logged an error: ${event} ${shortFields(fields)}`);
      shown(fields, event);
    };
    return { trace: quiet, debug: quiet, info: shown, warn: shown, error };
  }
}

function shortFields(fields: object): string {
  const texts = Object.entries(fields).map(
    ([key, value]) => `${key}=${value instanceof Error ? value.message : value}`,
  );
  return texts.join(' ').slice(0, 200);
}
