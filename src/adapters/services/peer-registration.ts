// Reports peers to the peer registry of the blockchain service: who is connected, and what they say about themselves.
// It compares what is known with what was reported, once per interval, so that a peer costs the service little however
// often it speaks, and an outage of the service leaves nothing to catch up with but the differences.
import { hash as digest } from 'node:crypto';
import type { MessageInitShape } from '@bufbuild/protobuf';
import type { BlockHash, PeerId } from '../../domain/ids.ts';
import { type PeerRegistryInfoSchema, PeerRegistryService, TransportType } from '../../gen/blockchain_api_pb.js';
import { BoundedMap } from '../../lib/bounded-map.ts';
import { orAfter } from '../../lib/deadline.ts';
import { type Repeating, repeating } from '../../lib/repeating.ts';
import type { Clock } from '../../ports/clock.ts';
import type { Logger } from '../../ports/log.ts';
import { hashToBytes } from '../../wire/hash.ts';
import type { ServicePeerRegistry, Step } from './peer-registry.ts';

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
  readonly registry: ServicePeerRegistry;
  /** Connected peers first. */
  readonly peers: () => readonly KnownPeer[];
  readonly clock: Clock;
  readonly log: Logger;
}

export interface PeerRegistrationOptions {
  /** `p2p_peer_registry_batch_interval`. */
  readonly intervalMs: number;
}

/** What was reported about a peer. */
interface Reported {
  /** Digest; empty before the first report. */
  facts: string;
  storage: string;
  /** undefined when it may have forgotten. */
  isConnected: boolean | undefined;
  lastMessageMs: number;
  /** Monotonic ms. */
  messageReportedMs: number;
  /** Turn of the copy. */
  turn: number;
}

const API = PeerRegistryService.method;
const MAX_REPORTED = 10_000;
/** Peers reported in one interval; the others follow in the next. */
const MAX_AT_ONCE = 200;
const MESSAGE_INTERVAL_MS = 10_000;
const MAX_NAME_CHARS = 128;
const STOP_MS = 150;
const STOPS_AT_ONCE = 16;

export class PeerRegistration {
  private readonly deps: PeerRegistrationDependencies;
  private readonly options: PeerRegistrationOptions;
  private readonly reported = new BoundedMap<PeerId, Reported>({ max: MAX_REPORTED });
  private beginnings = 0;
  private loop: Repeating | undefined;
  private stopping: Promise<void> | undefined;

  constructor(deps: PeerRegistrationDependencies, options: PeerRegistrationOptions) {
    this.deps = deps;
    this.options = options;
  }

  start(): void {
    const { intervalMs } = this.options;
    const failed = (err: unknown) => this.deps.log.debug({ err }, 'failed to report peers to the peer registry');
    this.loop ??= repeating((signal) => this.report(signal), { firstMs: intervalMs, nextMs: () => intervalMs }, failed);
  }

  /** Reports every peer as disconnected; bounded in time. May be called twice. */
  stop(): Promise<void> {
    this.loop?.stop();
    this.stopping ??= this.registry.isAnswering ? orAfter(this.leaveAll(), STOP_MS, undefined) : Promise.resolve();
    return this.stopping;
  }

  private get registry(): ServicePeerRegistry {
    return this.deps.registry;
  }

  private async report(signal: AbortSignal): Promise<void> {
    if (!this.registry.isAnswering) return;
    if (this.beginnings !== this.registry.beginnings) this.beginAnew();
    const peers = this.deps.peers();
    const connected = new Set(peers.flatMap(({ id, isConnected }) => (isConnected ? [id] : [])));
    const left = [...this.reported.oldestFirst()].filter(
      ([id, reported]) => reported.isConnected === true && !connected.has(id),
    );
    const turns = [
      ...left.map(
        ([id, reported]) =>
          () =>
            this.reportConnection(id, reported, false),
      ),
      ...peers.map((peer) => () => this.reportPeer(peer)),
    ];
    let count = 0;
    for (const turn of turns) {
      if (count >= MAX_AT_ONCE || signal.aborted || !this.registry.isAnswering) return;
      // What the service refuses about one peer says nothing about the others.
      if (await turn().catch(() => true)) count += 1;
    }
  }

  /** The service may have forgotten everything, or count peers as connected since our last run. */
  private beginAnew(): void {
    this.beginnings = this.registry.beginnings;
    for (const [id, reported] of this.reported.oldestFirst()) {
      if (reported.isConnected) this.reported.set(id, { ...newReport(), isConnected: true });
      else this.reported.delete(id);
    }
    for (const { history, isConnected } of this.registry.copy.all())
      if (isConnected && !this.reported.has(history.id)) this.reported.set(history.id, { ...newReport(), isConnected });
  }

  /** Resolves with whether anything was reported. Throws RPC_FAILED; the same is not reported again then. */
  private async reportPeer(peer: KnownPeer): Promise<boolean> {
    const { id, storage = '' } = peer;
    const reported = this.reportedAbout(id);
    const texts = [peer.clientName, peer.height, peer.hash, peer.dataHubUrl, peer.address];
    const facts = digest('sha256', JSON.stringify(texts), 'base64');
    const isNew = reported.facts === '';
    const steps: (() => Promise<unknown>)[] = [];
    if (reported.facts !== facts) {
      reported.facts = facts;
      steps.push(() => this.ask((send) => send(API.registerPeer, { peer: factsOf(peer) }), reported));
    }
    if (peer.isConnected && (isNew || reported.isConnected !== true))
      steps.push(() => this.reportConnection(id, reported, true));
    if (storage !== '' && storage !== reported.storage) {
      reported.storage = storage;
      steps.push(() => this.ask((send) => send(API.updateStorage, { peerId: id, storage }), reported));
    }
    if (this.isMessageDue(peer, reported))
      steps.push(() => this.ask((send) => send(API.updateLastMessageTime, { peerId: id }), reported));
    for (const step of steps) await step();
    return steps.length > 0;
  }

  private reportedAbout(id: PeerId): Reported {
    const { copy } = this.registry;
    const known = this.reported.get(id);
    // The service evicts peers: it has forgotten a peer that was reported before its list was read, and is not in it.
    const isForgotten = known !== undefined && known.turn > 0 && known.turn < copy.listedTurn && !copy.get(id);
    const reported = known === undefined || (isForgotten && copy.isComplete) ? newReport() : known;
    this.reported.set(id, reported);
    return reported;
  }

  private async reportConnection(peerId: PeerId, reported: Reported, connected: boolean): Promise<boolean> {
    reported.isConnected = connected;
    await this.ask((send) => send(API.updateConnectionState, { peerId, connected }), reported);
    return true;
  }

  private isMessageDue({ lastMessageMs = 0 }: KnownPeer, reported: Reported): boolean {
    const nowMs = this.deps.clock.monotonic();
    if (lastMessageMs <= reported.lastMessageMs || nowMs - reported.messageReportedMs < MESSAGE_INTERVAL_MS)
      return false;
    reported.lastMessageMs = lastMessageMs;
    reported.messageReportedMs = nowMs;
    return true;
  }

  private async ask(step: Step<unknown>, reported: Reported): Promise<void> {
    await this.registry.ask(step);
    reported.turn = this.registry.copy.nextTurn();
  }

  private async leaveAll(): Promise<void> {
    const connected = [...this.reported.oldestFirst()].filter(([, { isConnected }]) => isConnected === true);
    for (let at = 0; at < connected.length && this.registry.isAnswering; at += STOPS_AT_ONCE) {
      const some = connected.slice(at, at + STOPS_AT_ONCE);
      await Promise.allSettled(some.map(([id, reported]) => this.reportConnection(id, reported, false)));
    }
  }
}

function newReport(): Reported {
  return {
    facts: '',
    storage: '',
    isConnected: undefined,
    lastMessageMs: 0,
    messageReportedMs: Number.NEGATIVE_INFINITY,
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
