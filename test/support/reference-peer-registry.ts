// The peer registry of the reference blockchain service: peers, reputation and ban scores as Teranode's own service
// keeps them. What it knows outlives the process.
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import {
  create,
  type DescMethod,
  fromBinary,
  fromJson,
  type JsonValue,
  type MessageInitShape,
  type MessageShape,
  toBinary,
  toJson,
} from '@bufbuild/protobuf';
import { type Timestamp, timestampFromMs, timestampMs } from '@bufbuild/protobuf/wkt';
import { type PeerRegistryInfo, PeerRegistryInfoSchema, PeerRegistryService } from '../../src/gen/blockchain_api_pb.js';
import {
  averageAfter,
  deservesAnotherChance,
  NEUTRAL_REPUTATION,
  reputationOf,
} from '../../src/peers/histories/reputation.ts';

const API = PeerRegistryService.method;
const POINTS: Readonly<Record<string, number>> = {
  protocol_violation: 20,
  invalid_block: 10,
  invalid_subtree: 10,
  spam: 50,
  catchup_failure: 30,
  catchup_malicious: 50,
};
const THRESHOLD = 100;
const BAN_MS = 24 * 3_600_000;
const DECAY_MS = 60_000;
const NEUTRAL = { reputationScore: NEUTRAL_REPUTATION, maliciousCount: 0n };

interface Score {
  score: number;
  decayedAtMs: number;
  bannedUntilMs: number;
}

/** A call as it arrived. */
export interface RegistryCall {
  readonly method: string;
  readonly request: Record<string, unknown>;
}

type Handler<M extends DescMethod> = (request: MessageShape<M['input']>) => MessageInitShape<M['output']>;
type Handlers = { readonly [K in keyof typeof API]: Handler<(typeof API)[K]> };

export class ReferencePeerRegistry {
  readonly calls: RegistryCall[] = [];
  private readonly file: string;
  private readonly peers = new Map<string, PeerRegistryInfo>();
  private readonly scores = new Map<string, Score>();
  private aheadMs = 0;

  constructor(file: string) {
    this.file = file;
    if (!existsSync(file)) return;
    const { peers, scores } = JSON.parse(readFileSync(file, 'utf8')) as { peers: string[]; scores: [string, Score][] };
    for (const peer of peers.map((hex) => fromBinary(PeerRegistryInfoSchema, Buffer.from(hex, 'hex'))))
      this.peers.set(peer.peerId, peer);
    for (const [id, score] of scores) this.scores.set(id, score);
  }

  /** By name as in the .proto file, for the server. */
  handlers(): Readonly<Record<string, (request: never) => object>> {
    return Object.fromEntries(
      PeerRegistryService.methods.map((method) => [
        method.name,
        (request: never) => {
          this.calls.push({ method: method.name, request: toJson(method.input, request) as Record<string, unknown> });
          return this.handle(method, request);
        },
      ]),
    );
  }

  /** As another service would; not among `calls`. Fields and answer are JSON. */
  ask(name: string, fields: JsonValue): JsonValue {
    const method = PeerRegistryService.methods.find((each) => each.name === name);
    if (method === undefined) throw new RangeError(`no method ${name}`);
    const answer = this.handle(method, fromJson(method.input, fields));
    return toJson(method.output, create(method.output, answer as never));
  }

  /** Its clock is ahead by so much more. */
  advance(ms: number): void {
    this.aheadMs += ms;
  }

  private handle(method: DescMethod, request: unknown): object {
    const handler = this.methods[method.localName as keyof Handlers] as Handler<DescMethod>;
    const answer = handler(request as never);
    this.save();
    return answer;
  }

  private save(): void {
    const peers = Array.from(this.peers.values(), (peer) =>
      Buffer.from(toBinary(PeerRegistryInfoSchema, peer)).toString('hex'),
    );
    writeFileSync(this.file, JSON.stringify({ peers, scores: [...this.scores] }));
  }

  private get nowMs(): number {
    return Date.now() + this.aheadMs;
  }

  private now(): Timestamp {
    return timestampFromMs(this.nowMs);
  }

  private readonly methods: Handlers = {
    registerPeer: ({ peer }) => this.register(peer),
    updatePeerMetrics: (request) =>
      this.change(request.peerId, (peer) => {
        if (request.height > 0) peer.height = request.height;
        peer.bytesSent += request.bytesSentDelta;
        peer.bytesReceived += request.bytesReceivedDelta;
        if (request.recordMalicious) peer.maliciousCount += 1n;
        if (request.recordMalicious || request.recordFailure) this.failed(peer);
        else if (request.recordSuccess) this.succeeded(peer, request.responseTimeMs);
      }),
    removePeer: ({ peerId }) => {
      this.peers.delete(peerId);
      return {};
    },
    listPeers: (request) => ({ peers: this.list(request) }),
    getPeer: ({ peerId }) => {
      const peer = this.peers.get(peerId);
      return peer === undefined ? { notFound: true } : { peer: this.withScore(peer) };
    },
    addBanScore: ({ peerId, reason, points }) => this.addScore(peerId, POINTS[reason] ?? points),
    isPeerBanned: ({ peerId }) => ({ banned: this.isBanned(peerId) }),
    listBannedPeers: () => ({ peerIds: [...this.scores.keys()].filter((id) => this.isBanned(id)) }),
    clearBannedPeers: () => {
      this.scores.clear();
      return {};
    },
    updateConnectionState: ({ peerId, connected }) =>
      this.change(peerId, (peer) => {
        peer.isConnected = connected;
      }),
    updateLastMessageTime: ({ peerId }) =>
      this.change(peerId, (peer) => {
        peer.lastMessageTime = this.now();
      }),
    updateStorage: ({ peerId, storage }) =>
      this.change(peerId, (peer) => {
        peer.storage = storage;
      }),
    recordSyncAttempt: ({ peerId }) => this.change(peerId, (peer) => this.attempted(peer)),
    clearAllSyncAttempts: () => {
      const tried = [...this.peers.values()].filter(({ lastSyncAttempt }) => lastSyncAttempt !== undefined);
      for (const peer of tried) delete peer.lastSyncAttempt;
      return { cleared: tried.length };
    },
    recordBlockReceived: ({ peerId, responseTimeMs }) =>
      this.change(peerId, (peer) => {
        peer.blocksReceived += 1n;
        peer.lastBlockTime = this.now();
        this.succeeded(peer, responseTimeMs);
      }),
    recordSubtreeReceived: ({ peerId, responseTimeMs }) =>
      this.change(peerId, (peer) => {
        peer.subtreesReceived += 1n;
        this.succeeded(peer, responseTimeMs);
      }),
    recordTransactionReceived: ({ peerId }) =>
      this.change(peerId, (peer) => {
        peer.transactionsReceived += 1n;
        peer.interactionSuccesses += 1n;
        peer.lastInteractionSuccess = this.now();
        this.rate(peer);
      }),
    recordCatchupError: ({ peerId, errorMessage }) =>
      this.change(peerId, (peer) => {
        peer.lastCatchupError = errorMessage;
        peer.lastCatchupErrorTime = this.now();
      }),
    recordCatchupAttempt: ({ peerId }) =>
      this.change(peerId, (peer) => {
        peer.catchupAttempts += 1n;
        this.attempted(peer);
      }),
    recordCatchupSuccess: ({ peerId, responseTimeMs }) =>
      this.change(peerId, (peer) => {
        peer.catchupSuccesses += 1n;
        this.succeeded(peer, responseTimeMs);
      }),
    recordCatchupFailure: ({ peerId }) =>
      this.change(peerId, (peer) => {
        peer.catchupFailures += 1n;
        this.failed(peer);
      }),
    resetReputation: ({ peerId }) => {
      const peers = [...this.peers.values()].filter((peer) => peerId === '' || peer.peerId === peerId);
      for (const peer of peers) reset(peer);
      return { reset: peers.length };
    },
    reconsiderBadPeers: ({ cooldownSeconds }) => {
      const bad = [...this.peers.values()].filter((peer) =>
        deservesAnotherChance(facts(peer), Number(cooldownSeconds) * 1000, this.nowMs),
      );
      for (const peer of bad) {
        Object.assign(peer, { reputationScore: 30, maliciousCount: 0n, lastReputationReset: this.now() });
        peer.reputationResetCount += 1;
      }
      return { reconsidered: bad.length };
    },
    recordValidatedPeerProgress: ({ peerId, height, blockHash, chainWork }) =>
      this.change(peerId, (peer) => {
        const isPenalized = this.nowMs < (msOf(peer.fullStoragePenaltyUntil) ?? 0);
        if (isPenalized || workOf(chainWork) <= workOf(peer.validatedChainWork)) return;
        const progress = { validatedHeight: height, validatedBlockHash: blockHash, validatedChainWork: chainWork };
        Object.assign(peer, progress, { lastValidatedAt: this.now() });
      }),
  };

  /** Changes nothing of a peer that is not registered. */
  private change(peerId: string, change: (peer: PeerRegistryInfo) => void): object {
    const peer = this.peers.get(peerId);
    if (peer !== undefined) change(peer);
    return {};
  }

  private register(given: PeerRegistryInfo | undefined): object {
    if (given === undefined || given.peerId === '') return {};
    const now = this.now();
    const fresh = { ...NEUTRAL, peerId: given.peerId, transportType: given.transportType, connectedAt: now };
    const peer = this.peers.get(given.peerId) ?? create(PeerRegistryInfoSchema, { ...fresh, lastMessageTime: now });
    this.peers.set(peer.peerId, peer);
    peer.lastSeen = now;
    if (given.clientName !== '') peer.clientName = given.clientName.slice(0, 128);
    if (given.height > 0) peer.height = given.height;
    if (given.dataHubUrl !== '') peer.dataHubUrl = given.dataHubUrl;
    if (given.networkAddress !== '') peer.networkAddress = given.networkAddress;
    if (given.storage !== '') peer.storage = given.storage;
    if (given.blockHash.byteLength > 0) peer.blockHash = given.blockHash;
    peer.fullStorageContradictions += given.fullStorageContradictions;
    const untilMs = msOf(given.fullStoragePenaltyUntil) ?? 0;
    if (untilMs > (msOf(peer.fullStoragePenaltyUntil) ?? 0)) {
      const nothing = new Uint8Array();
      Object.assign(peer, { validatedHeight: 0, validatedBlockHash: nothing, validatedChainWork: nothing });
      peer.fullStoragePenaltyUntil = timestampFromMs(untilMs);
    }
    return {};
  }

  private list(request: Parameters<Handlers['listPeers']>[0]): PeerRegistryInfo[] {
    return [...this.peers.values()]
      .map((peer) => this.withScore(peer))
      .filter(
        (peer) =>
          (!request.filterTransport || peer.transportType === request.transportFilter) &&
          (!request.excludeBanned || !peer.isBanned) &&
          peer.reputationScore >= request.minReputation &&
          peer.height >= request.minHeight,
      )
      .sort((a, b) => b.reputationScore - a.reputationScore);
  }

  private withScore(peer: PeerRegistryInfo): PeerRegistryInfo {
    const banScore = this.decayed(peer.peerId)?.score ?? 0;
    return { ...peer, banScore, isBanned: this.isBanned(peer.peerId) };
  }

  private addScore(peerId: string, points: number): { score: number; banned: boolean } {
    const known = this.decayed(peerId) ?? { score: 0, decayedAtMs: this.nowMs, bannedUntilMs: 0 };
    this.scores.set(peerId, known);
    const wasBanned = this.isBanned(peerId);
    known.score += points;
    if (known.score >= THRESHOLD && !wasBanned) known.bannedUntilMs = this.nowMs + BAN_MS;
    return { score: known.score, banned: this.isBanned(peerId) && !wasBanned };
  }

  private decayed(peerId: string): Score | undefined {
    const known = this.scores.get(peerId);
    if (known === undefined) return undefined;
    const steps = Math.floor((this.nowMs - known.decayedAtMs) / DECAY_MS);
    known.score = Math.max(0, known.score - steps);
    known.decayedAtMs += steps * DECAY_MS;
    return known;
  }

  private isBanned(peerId: string): boolean {
    return this.nowMs < (this.scores.get(peerId)?.bannedUntilMs ?? 0);
  }

  private attempted(peer: PeerRegistryInfo): void {
    peer.lastSyncAttempt = this.now();
    peer.syncAttemptCount += 1;
  }

  private succeeded(peer: PeerRegistryInfo, responseTimeMs: bigint): void {
    const now = this.now();
    peer.interactionAttempts += 1n;
    peer.interactionSuccesses += 1n;
    Object.assign(peer, { lastInteractionAttempt: now, lastInteractionSuccess: now });
    peer.avgResponseTimeMs = BigInt(averageAfter(Number(peer.avgResponseTimeMs), Number(responseTimeMs)));
    this.rate(peer);
  }

  private failed(peer: PeerRegistryInfo): void {
    const now = this.now();
    peer.interactionAttempts += 1n;
    peer.interactionFailures += 1n;
    Object.assign(peer, { lastInteractionAttempt: now, lastInteractionFailure: now });
    this.rate(peer);
  }

  private rate(peer: PeerRegistryInfo): void {
    peer.reputationScore = reputationOf(facts(peer), this.nowMs);
  }
}

function reset(peer: PeerRegistryInfo): void {
  const counts = { interactionAttempts: 0n, interactionSuccesses: 0n, interactionFailures: 0n, avgResponseTimeMs: 0n };
  const catchUp = { catchupAttempts: 0n, catchupSuccesses: 0n, catchupFailures: 0n, lastCatchupError: '' };
  Object.assign(peer, NEUTRAL, counts, catchUp, { syncAttemptCount: 0, reputationResetCount: 0 });
  delete peer.lastInteractionAttempt;
  delete peer.lastInteractionSuccess;
  delete peer.lastInteractionFailure;
  delete peer.lastCatchupErrorTime;
  delete peer.lastSyncAttempt;
  delete peer.lastReputationReset;
}

function facts(peer: PeerRegistryInfo) {
  return {
    reputation: peer.reputationScore,
    successes: Number(peer.interactionSuccesses),
    failures: Number(peer.interactionFailures),
    malicious: Number(peer.maliciousCount),
    lastSuccessMs: msOf(peer.lastInteractionSuccess),
    lastFailureMs: msOf(peer.lastInteractionFailure),
    avgResponseMs: Number(peer.avgResponseTimeMs),
    lastResetMs: msOf(peer.lastReputationReset),
    resets: peer.reputationResetCount,
  };
}

function msOf(timestamp: Timestamp | undefined): number | undefined {
  return timestamp === undefined ? undefined : timestampMs(timestamp);
}

function workOf(bytes: Uint8Array): bigint {
  return bytes.byteLength === 0 ? 0n : BigInt(`0x${Buffer.from(bytes).toString('hex')}`);
}
