// An AdminApi in memory: records its calls, answers from fields that a test sets, and fails or waits on request. It
// parses inputs as the real one does.

import { peerIdInput, scoreReason } from '../../src/admin/inputs.ts';
import { checkedBanKey } from '../../src/bans/list/ban-key.ts';
import type { BanEntry, Explanation, LiftedBan, OrderedBan } from '../../src/domain/ban.ts';
import type { NetworkEndpoint } from '../../src/domain/endpoint.ts';
import type { PeerId } from '../../src/domain/ids.ts';
import type { PeerEvent } from '../../src/domain/peer-history.ts';
import { P2PError } from '../../src/lib/errors.ts';
import type {
  AdminApi,
  BanPage,
  KnownPeer,
  NetworkView,
  NodeView,
  PeerView,
  RecentAnnouncement,
  RecentVerdict,
  SettingView,
  SyncView,
  TopicView,
} from '../../src/ports/admin-api.ts';
import type { BlockHeaderRecord } from '../../src/ports/blockchain-client.ts';
import type { LeagueRow } from '../../src/ports/deliveries.ts';
import type { Diagnosis } from '../../src/ports/diagnosis.ts';
import type { HistoryBlock, HistoryHour, HistoryRange } from '../../src/ports/history-store.ts';
import type { SyncChoice } from '../../src/ports/sync-status.ts';

export const DEFAULT_BAN_MS = 3_600_000;

export interface AdminCall {
  readonly method: keyof AdminApi;
  readonly args: readonly unknown[];
}

/** Of a node that knows nothing yet. */
export const NO_SYNC: SyncView = {
  fsmState: undefined,
  bestHeight: undefined,
  bestBlockHash: undefined,
  syncPeer: undefined,
  choice: undefined,
  lastEnd: undefined,
};

/** A choice with one peer. */
export function chosen(
  peerId: PeerId,
  explanation = 'Chosen because it is the only peer that can be used (1 known).',
): SyncChoice {
  return {
    ...{
      outcome: 'chosen',
      explanation,
      sinceMs: 1,
      comparedAtMs: 2,
      peerId,
      decidedBy: 'only_one',
      known: 2,
      usable: 1,
    },
    passedOver: [{ why: 'banned', peers: 1 }],
    considered: [
      {
        ...{ peerId, isChosen: true, why: undefined, explanation: 'chosen', height: 9, banScore: 0, failedAttempts: 0 },
        ...{ coolDownUntilMs: undefined, dataHubHealth: 'healthy', firstDeliveryShare: 0.5 },
        ...{ storage: undefined, reputation: undefined },
      },
    ],
  };
}

export class FakeAdminApi implements AdminApi {
  readonly calls: AdminCall[] = [];
  connected: readonly PeerView[] = [];
  leagueRows: readonly LeagueRow[] = [];
  known: readonly KnownPeer[] = [];
  explanation: Explanation | undefined;
  syncView: SyncView = NO_SYNC;
  own: Omit<NodeView, keyof SyncView | 'connectedPeers'> = {
    peerId: '12D3KooWCv5gciT4GsWGpxJLa8nmCNkE6Y8FpMgM5vnfVfVGwUXB' as PeerId,
    version: 'v0.1.0',
    networks: [],
    httpUrl: undefined,
    isReady: true,
    checks: [],
  };
  networkView: NetworkView = {
    ...{ tip: undefined, own: undefined, lag: undefined, peerLag: undefined, peers: 0, connectedPeers: 0 },
    ...{ versions: [], operators: [], heights: [], topics: [], league: [] },
    spread: { copies: 0, p50Ms: undefined, p99Ms: undefined, recent: [] },
  };
  /** undefined: no history is kept. */
  blocks: readonly HistoryBlock[] | undefined;
  hours: readonly HistoryHour[] = [];
  /** Newest first. */
  chain: readonly BlockHeaderRecord[] = [];
  diagnosed: Diagnosis = {
    ...{ dials: [], departures: [], peers: [], topics: [], announced: [], reachability: 'unknown', clockOffsetsMs: [] },
    feed: { state: 'alone', silentForMs: 0 },
  };
  topicViews: readonly TopicView[] = [];
  settingViews: readonly SettingView[] = [];
  announcements: readonly RecentAnnouncement[] = [];
  endpointRows: readonly NetworkEndpoint[] = [];
  verdicts: readonly RecentVerdict[] = [];
  /** Whether changes of bans are stored at once. */
  isStored = true;
  /** The ban that covers every subject besides its own. */
  covering: BanEntry | undefined;
  /** Thrown by every call while set. */
  failure: unknown;
  /** Every asynchronous call waits for it. */
  gate: Promise<unknown> = Promise.resolve();
  private readonly entries = new Map<string, BanEntry>();

  peers(): readonly PeerView[] {
    this.note('peers');
    return this.connected;
  }

  peer(peerId: string): PeerView | undefined {
    this.note('peer', peerId);
    const id = peerIdInput(peerId);
    return this.connected.find((each) => each.id === id);
  }

  league(): readonly LeagueRow[] {
    this.note('league');
    return this.leagueRows;
  }

  async ban(text: string, untilMs: number | undefined, reason = ''): Promise<OrderedBan> {
    this.note('ban', text, untilMs, reason);
    await this.gate;
    const now = Date.now();
    const { key, kind } = checkedBanKey(text);
    if (untilMs !== undefined && untilMs <= now)
      throw new P2PError('INPUT_INVALID', 'the end of a ban must lie in the future');
    const entry: BanEntry = {
      key,
      kind,
      untilMs: untilMs ?? now + DEFAULT_BAN_MS,
      createdAtMs: now,
      reason: reason || 'by the operator',
      evidence: '',
      source: 'operator',
      causedBy: undefined,
    };
    this.put(entry);
    return { ...entry, isStored: this.isStored };
  }

  async unban(text: string): Promise<LiftedBan> {
    this.note('unban', text);
    await this.gate;
    const hadAny = this.entries.delete(checkedBanKey(text).key);
    return { hadAny, coveredBy: this.covering, isStored: this.isStored };
  }

  isBanned(text: string): boolean {
    this.note('isBanned', text);
    return this.entries.has(checkedBanKey(text).key);
  }

  banPage(offset: number, limit: number | undefined): BanPage {
    this.note('banPage');
    const all = [...this.entries.values()];
    return { total: all.length, bans: all.slice(offset, limit === undefined ? undefined : offset + limit) };
  }

  async clearBans(): Promise<{ hadAny: boolean; isStored: boolean }> {
    this.note('clearBans');
    await this.gate;
    const hadAny = this.entries.size > 0;
    this.entries.clear();
    return { hadAny, isStored: this.isStored };
  }

  async addScore(peerId: string, reason: string): Promise<number> {
    this.note('addScore', peerId, reason);
    await this.gate;
    peerIdInput(peerId);
    scoreReason(reason);
    return 10;
  }

  knownPeers(): readonly KnownPeer[] {
    this.note('knownPeers');
    return this.known;
  }

  knownPeer(peerId: string): KnownPeer | undefined {
    this.note('knownPeer', peerId);
    const id = peerIdInput(peerId);
    return this.known.find((each) => each.id === id);
  }

  peersForCatchUp(): readonly KnownPeer[] {
    this.note('peersForCatchUp');
    return this.known;
  }

  async recordPeerEvent(peerId: string, event: PeerEvent): Promise<void> {
    this.note('recordPeerEvent', peerId, event);
    await this.gate;
    peerIdInput(peerId);
  }

  async resetReputation(peerId: string | undefined): Promise<number> {
    this.note('resetReputation', peerId);
    await this.gate;
    const id = peerId === undefined ? undefined : peerIdInput(peerId);
    return this.known.filter((each) => id === undefined || each.id === id).length;
  }

  explain(text: string): Explanation {
    this.note('explain', text);
    if (this.explanation === undefined) throw new P2PError('INPUT_INVALID', `invalid subject "${text}"`);
    return this.explanation;
  }

  async connect(address: string): Promise<PeerId> {
    this.note('connect', address);
    await this.gate;
    if (!address.startsWith('/')) throw new P2PError('ADDRESS_INVALID', `${address} is no multiaddr`);
    const peer = this.connected.find(({ addresses }) => addresses.includes(address));
    if (peer === undefined) throw new P2PError('PEER_UNREACHABLE', `no answer from ${address}`);
    return peer.id;
  }

  async disconnect(peerId: string): Promise<void> {
    this.note('disconnect', peerId);
    await this.gate;
    const id = peerIdInput(peerId);
    const rest = this.connected.filter((peer) => peer.id !== id);
    if (rest.length === this.connected.length) throw new P2PError('PEER_UNREACHABLE', `${id} is not connected`);
    this.connected = rest;
  }

  async status(): Promise<NodeView> {
    this.note('status');
    await this.gate;
    return { ...this.own, ...this.syncView, connectedPeers: this.connected.length };
  }

  async sync(): Promise<SyncView> {
    await this.gate;
    return this.syncView;
  }

  network(): NetworkView {
    this.note('network');
    return this.networkView;
  }

  async historyBlocks(range: HistoryRange): Promise<readonly HistoryBlock[]> {
    this.note('historyBlocks', range);
    if (this.blocks === undefined) throw new P2PError('HISTORY_OFF', 'off');
    return this.blocks;
  }

  async historyHours(range: HistoryRange): Promise<readonly HistoryHour[]> {
    this.note('historyHours', range);
    return this.hours;
  }

  async headers(block: string, count: number): Promise<readonly BlockHeaderRecord[]> {
    this.note('headers', block, count);
    await this.gate;
    const first = this.chain.findIndex(({ hash, height }) => block === '' || [hash, String(height)].includes(block));
    return first < 0 ? [] : this.chain.slice(first, first + count);
  }

  diagnosis(): Diagnosis {
    this.note('diagnosis');
    return this.diagnosed;
  }

  topics(): readonly TopicView[] {
    return this.topicViews;
  }

  settings(): readonly SettingView[] {
    return this.settingViews;
  }

  recentAnnouncements(): readonly RecentAnnouncement[] {
    return this.announcements;
  }

  endpoints(): readonly NetworkEndpoint[] {
    return this.endpointRows;
  }

  recentVerdicts(): readonly RecentVerdict[] {
    return this.verdicts;
  }

  /** A ban that no operator set. */
  put(entry: BanEntry): void {
    this.entries.set(entry.key, entry);
  }

  /** Arguments of the last call of a method. */
  lastArgs(method: keyof AdminApi): readonly unknown[] | undefined {
    return this.calls.findLast((call) => call.method === method)?.args;
  }

  private note(method: keyof AdminApi, ...args: readonly unknown[]): void {
    this.calls.push({ method, args });
    if (this.failure !== undefined) throw this.failure;
  }
}
