// Tells the peer registry of the blockchain service which peers there are: who is connected, and what they say about
// themselves. It compares what is known with what was told, once per interval, so that a peer costs the service little
// however often it speaks, and so that an outage of the service leaves nothing to catch up with but the differences.
import type { MessageInitShape } from '@bufbuild/protobuf';
import type { BlockHash, PeerId } from '../../domain/ids.ts';
import { type PeerRegistryInfoSchema, PeerRegistryService, TransportType } from '../../gen/blockchain_api_pb.js';
import { BoundedMap } from '../../lib/bounded-map.ts';
import { orAfter } from '../../lib/deadline.ts';
import { type Repeating, repeating } from '../../lib/repeating.ts';
import type { Clock } from '../../ports/clock.ts';
import type { Logger } from '../../ports/log.ts';
import { hashToBytes } from '../../wire/hash.ts';
import type { PeerRegistry, Step } from './peer-registry.ts';

/** What this node knows about a peer; undefined or empty where it knows nothing. */
export interface KnownPeer {
  readonly id: PeerId;
  readonly isConnected: boolean;
  readonly clientName: string | undefined;
  readonly height: number | undefined;
  readonly hash: BlockHash | undefined;
  readonly dataHubUrl: string | undefined;
  /** `full` or `pruned`. */
  readonly storage: string | undefined;
  /** Multiaddr of its connection. */
  readonly address: string | undefined;
  /** Unix ms. */
  readonly lastMessageMs: number | undefined;
}

export interface PeerRegistrationDependencies {
  readonly registry: PeerRegistry;
  /** Connected peers first. */
  readonly peers: () => readonly KnownPeer[];
  readonly clock: Clock;
  readonly log: Logger;
}

export interface PeerRegistrationOptions {
  /** `p2p_peer_registry_batch_interval`. */
  readonly intervalMs: number;
}

/** What the service was told about a peer. */
interface Told {
  facts: string;
  storage: string;
  /** undefined when it may have forgotten. */
  isConnected: boolean | undefined;
  lastMessageMs: number;
  /** Monotonic ms. */
  messageToldMs: number;
  /** Turn of the copy. */
  turn: number;
}

const API = PeerRegistryService.method;
const MAX_TOLD = 10_000;
/** Peers told about in one interval; the others follow in the next. */
const MAX_AT_ONCE = 200;
const MESSAGE_INTERVAL_MS = 10_000;
const MAX_NAME_CHARS = 128;
const STOP_MS = 150;
const STOPS_AT_ONCE = 16;

export class PeerRegistration {
  private readonly deps: PeerRegistrationDependencies;
  private readonly options: PeerRegistrationOptions;
  private readonly told = new BoundedMap<PeerId, Told>({ max: MAX_TOLD });
  private beginnings = 0;
  private loop: Repeating | undefined;
  private stopping: Promise<void> | undefined;

  constructor(deps: PeerRegistrationDependencies, options: PeerRegistrationOptions) {
    this.deps = deps;
    this.options = options;
  }

  start(): void {
    const { intervalMs } = this.options;
    const failed = (err: unknown) => this.deps.log.debug({ err }, 'failed to tell the peer registry about peers');
    this.loop ??= repeating((signal) => this.tell(signal), { firstMs: intervalMs, nextMs: () => intervalMs }, failed);
  }

  /** Tells that no peer is connected any more; bounded in time. May be called twice. */
  stop(): Promise<void> {
    this.loop?.stop();
    this.stopping ??= this.registry.isAnswering ? orAfter(this.leaveAll(), STOP_MS, undefined) : Promise.resolve();
    return this.stopping;
  }

  private get registry(): PeerRegistry {
    return this.deps.registry;
  }

  private async tell(signal: AbortSignal): Promise<void> {
    if (!this.registry.isAnswering) return;
    if (this.beginnings !== this.registry.beginnings) this.beginAnew();
    const peers = this.deps.peers();
    const connected = new Set(peers.flatMap(({ id, isConnected }) => (isConnected ? [id] : [])));
    const left = [...this.told.oldestFirst()].filter(([id, told]) => told.isConnected === true && !connected.has(id));
    const turns = [
      ...left.map(
        ([id, told]) =>
          () =>
            this.tellConnection(id, told, false),
      ),
      ...peers.map((peer) => () => this.tellAbout(peer)),
    ];
    let told = 0;
    for (const turn of turns) {
      if (told >= MAX_AT_ONCE || signal.aborted || !this.registry.isAnswering) return;
      // What the service refuses about one peer says nothing about the others.
      if (await turn().catch(() => true)) told += 1;
    }
  }

  /** The service may have forgotten everything, or count peers as connected since our last run. */
  private beginAnew(): void {
    this.beginnings = this.registry.beginnings;
    for (const [id, told] of this.told.oldestFirst()) {
      if (told.isConnected) this.told.set(id, { ...newTold(), isConnected: true });
      else this.told.delete(id);
    }
    for (const { history, isConnected } of this.registry.copy.all())
      if (isConnected && !this.told.has(history.id)) this.told.set(history.id, { ...newTold(), isConnected });
  }

  /** Resolves with whether anything was told. Throws RPC_FAILED; the same is not told again then. */
  private async tellAbout(peer: KnownPeer): Promise<boolean> {
    const { id, storage = '' } = peer;
    const told = this.toldAbout(id);
    const facts = JSON.stringify([peer.clientName, peer.height, peer.hash, peer.dataHubUrl, peer.address]);
    const isNew = told.facts === '';
    const steps: (() => Promise<unknown>)[] = [];
    if (told.facts !== facts) {
      told.facts = facts;
      steps.push(() => this.ask((send) => send(API.registerPeer, { peer: factsOf(peer) }), told));
    }
    if (peer.isConnected && (isNew || told.isConnected !== true)) steps.push(() => this.tellConnection(id, told, true));
    if (storage !== '' && storage !== told.storage) {
      told.storage = storage;
      steps.push(() => this.ask((send) => send(API.updateStorage, { peerId: id, storage }), told));
    }
    if (this.isMessageDue(peer, told))
      steps.push(() => this.ask((send) => send(API.updateLastMessageTime, { peerId: id }), told));
    for (const step of steps) await step();
    return steps.length > 0;
  }

  private toldAbout(id: PeerId): Told {
    const { copy } = this.registry;
    const known = this.told.get(id);
    // The service evicts peers; whoever it does not list although it was told before, it has forgotten.
    const isForgotten = known !== undefined && known.turn > 0 && known.turn < copy.listedTurn && !copy.get(id);
    const told = known === undefined || (isForgotten && copy.isComplete) ? newTold() : known;
    this.told.set(id, told);
    return told;
  }

  private async tellConnection(peerId: PeerId, told: Told, connected: boolean): Promise<boolean> {
    told.isConnected = connected;
    await this.ask((send) => send(API.updateConnectionState, { peerId, connected }), told);
    return true;
  }

  private isMessageDue({ lastMessageMs = 0 }: KnownPeer, told: Told): boolean {
    const nowMs = this.deps.clock.monotonic();
    if (lastMessageMs <= told.lastMessageMs || nowMs - told.messageToldMs < MESSAGE_INTERVAL_MS) return false;
    told.lastMessageMs = lastMessageMs;
    told.messageToldMs = nowMs;
    return true;
  }

  private async ask(step: Step<unknown>, told: Told): Promise<void> {
    await this.registry.ask(step);
    told.turn = this.registry.copy.nextTurn();
  }

  private async leaveAll(): Promise<void> {
    const connected = [...this.told.oldestFirst()].filter(([, { isConnected }]) => isConnected === true);
    for (let at = 0; at < connected.length && this.registry.isAnswering; at += STOPS_AT_ONCE) {
      const some = connected.slice(at, at + STOPS_AT_ONCE);
      await Promise.allSettled(some.map(([id, told]) => this.tellConnection(id, told, false)));
    }
  }
}

function newTold(): Told {
  return {
    facts: '',
    storage: '',
    isConnected: undefined,
    lastMessageMs: 0,
    messageToldMs: Number.NEGATIVE_INFINITY,
    turn: 0,
  };
}

/** Empty fields change nothing at the service. */
function factsOf(peer: KnownPeer): MessageInitShape<typeof PeerRegistryInfoSchema> {
  return {
    peerId: peer.id,
    transportType: TransportType.HTTP,
    clientName: peer.clientName?.slice(0, MAX_NAME_CHARS) ?? '',
    height: peer.height ?? 0,
    dataHubUrl: peer.dataHubUrl ?? '',
    networkAddress: peer.address ?? '',
    ...(peer.hash === undefined ? {} : { blockHash: new Uint8Array(hashToBytes(peer.hash)) }),
  };
}
