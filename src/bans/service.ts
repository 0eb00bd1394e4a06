// The only door to bans. An order goes straight through: parse the key, change the list (list/), apply what changed to
// connections (enforcement/). An offence goes to the scores (scores/), whose decision takes the same way, and so do
// changes that other servers made in the store (store/).

import { type BanEntry, type Explanation, type LiftedBan, MAX_BAN_MS, type OrderedBan } from '../domain/ban.ts';
import type { Hash, PeerId } from '../domain/ids.ts';
import type { BanDecision, BanReason, OffenceFacts, ScoreOutcome } from '../domain/offence.ts';
import { BoundedMap } from '../lib/bounded-map.ts';
import { P2PError } from '../lib/errors.ts';
import { formatIp, parseIp } from '../lib/ip.ts';
import type { BanStore } from '../ports/ban-store.ts';
import type { Clock } from '../ports/clock.ts';
import type { ConnectionPolicy } from '../ports/connection-policy.ts';
import type { Logger } from '../ports/log.ts';
import type { Metrics } from '../ports/metrics.ts';
import type { ProbeResult } from '../ports/producer.ts';
import type { ScoreAuthority } from '../ports/score-authority.ts';
import { AutomaticBans } from './enforcement/automatic-bans.ts';
import { type EnforcedNode, Enforcement } from './enforcement/enforcement.ts';
import { SeenAddresses } from './enforcement/seen-addresses.ts';
import { explanation } from './explanation.ts';
import { checkedBanKey, socketIp } from './list/ban-key.ts';
import { type BanChange, BanList } from './list/ban-list.ts';
import { noteAtHost } from './scores/datahub-notes.ts';
import { PeerBanManager } from './scores/peer-ban-manager.ts';
import { ScoresElsewhere } from './scores/scores-elsewhere.ts';
import { type Changed, StoreLink } from './store/store-link.ts';
import { StorePurge } from './store/store-purge.ts';

export type { EnforcedNode } from './enforcement/enforcement.ts';

export interface BanServiceOptions {
  readonly defaultDurationMs: number;
  readonly maxEntries: number;
  readonly threshold: number;
  readonly durationMs: number;
  readonly isWhitelisted: (peerId: PeerId) => boolean;
  readonly isShadow: (rule: string) => boolean;
}

export interface BanServiceDependencies {
  readonly store: BanStore;
  /** Keeps the scores of authors in place of this node, where it has a registry for them. */
  readonly authority?: ScoreAuthority | undefined;
  readonly clock: Clock;
  readonly log: Logger;
  readonly metrics: Metrics;
}

const PURGE_INTERVAL_MS = 60_000;
const CLOSE_DEADLINE_MS = 1000;
const DEFAULT_REASON = 'banned by the operator';
/** One malformed RPC is often followed by others of the same cause: they are penalized once in this time. */
const MALFORMED_RPC_INTERVAL_MS = 1000;
const MAX_MALFORMED_SENDERS = 1000;

export class BanService implements ConnectionPolicy {
  private readonly deps: BanServiceDependencies;
  private readonly options: BanServiceOptions;
  private readonly link: StoreLink;
  private readonly storePurge: StorePurge;
  private readonly seen: SeenAddresses;
  protected readonly list: BanList;
  protected readonly scores: PeerBanManager;
  private readonly enforcement: Enforcement;
  private readonly automatic: AutomaticBans;
  private readonly elsewhere: ScoresElsewhere | undefined;
  private readonly malformedAtMs = new BoundedMap<PeerId, number>({ max: MAX_MALFORMED_SENDERS });
  private timer: NodeJS.Timeout | undefined;
  private stopping: Promise<void> | undefined;

  constructor(deps: BanServiceDependencies, options: BanServiceOptions) {
    this.deps = deps;
    this.options = options;
    this.link = new StoreLink(deps);
    const linked = { ...deps, link: this.link };
    this.storePurge = new StorePurge(linked);
    this.seen = new SeenAddresses(linked);
    this.list = new BanList({ ...linked, peersAt: (address) => this.seen.peersAt(address) }, options);
    this.elsewhere = this.scoresElsewhere();
    const isBanned = (peerId: PeerId) => this.isBanned(peerId);
    this.scores = new PeerBanManager({ ...linked, isBanned, elsewhere: this.elsewhere }, options);
    this.enforcement = new Enforcement({ ...deps, list: this.list });
    const { list, seen, enforcement } = this;
    this.automatic = new AutomaticBans({ ...deps, list, seen, enforcement });
    this.link.follow({ type: 'ban', reload: (changed) => this.reloadBans(changed) });
    this.link.follow({ type: 'score', reload: (changed) => this.scores.reload(changed) });
  }

  /** Opens the store and puts its bans in force. Throws STORE_UNAVAILABLE, STORE_FAILED. */
  async start(signal: AbortSignal): Promise<void> {
    await this.link.open(signal);
    // Before the list: which bans of other servers apply here depends on the peers that were seen.
    await this.seen.init();
    this.apply(await this.list.init());
    await this.scores.init();
    await this.elsewhere?.start();
    this.link.startReading();
    this.timer = setInterval(() => this.purge(), PURGE_INTERVAL_MS);
    this.timer.unref();
  }

  /** From now on bans also disconnect peers of this node; called once for each node. */
  attach(node: EnforcedNode): void {
    this.enforcement.attach(node);
  }

  /** Writes what is pending, then closes the store. Bounded in time; may be called twice. */
  stop(): Promise<void> {
    clearInterval(this.timer);
    this.elsewhere?.stop();
    void this.storePurge.stop();
    this.stopping ??= this.link.close(CLOSE_DEADLINE_MS);
    return this.stopping;
  }

  /**
   * Bans an IP, a subnet, `host:port` or a peer ID; `untilMs` is `p2p_ban_default_duration` from now unless given, and at
   * most ten years. In force when this returns its promise, which resolves when the ban is stored, or within a second
   * when the store is unavailable. Throws INPUT_INVALID.
   */
  async ban(text: string, untilMs?: number, reason = ''): Promise<OrderedBan> {
    if (untilMs !== undefined && untilMs > this.deps.clock.now() + MAX_BAN_MS) {
      const expected = 'Unix milliseconds, at most ten years ahead';
      throw new P2PError('INPUT_INVALID', `invalid end of a ban ${untilMs} (expected ${expected})`);
    }
    const facts = { reason: reason || DEFAULT_REASON, evidence: '', source: 'operator', causedBy: undefined } as const;
    const { entry, changes, stored } = this.list.add(checkedBanKey(text), untilMs, facts);
    this.apply(changes);
    return { ...entry, isStored: await stored };
  }

  /**
   * Lifts the ban of a subject and those that it caused; forgets a peer's scores. `hadAny` is false when there was neither.
   * Throws INPUT_INVALID.
   */
  async unban(text: string): Promise<LiftedBan> {
    const key = checkedBanKey(text);
    const hadScore = key.kind === 'peer' && this.scoreOf(key.key) > 0;
    const { lifted, changes, stored } = this.list.remove(key);
    this.apply(changes);
    if (key.kind === 'peer') this.elsewhere?.unbanned(key.key);
    // Otherwise the peer's next small offence would ban it again.
    const [isStored] = await Promise.all([stored, key.kind === 'peer' ? this.scores.reset(key.key) : undefined]);
    return { hadAny: lifted.length > 0 || hadScore, coveredBy: this.list.banOf(key), isStored };
  }

  /** Lifts all bans, and forgets the scores of the banned peers. Resolves with whether that is stored. */
  async clear(): Promise<boolean> {
    const banned = this.list.entries().filter((entry) => entry.kind === 'peer');
    const { changes, stored } = this.list.clear();
    this.apply(changes);
    const reset = this.scores.resetAll(banned.map((entry) => entry.key));
    const [isStored] = await Promise.all([stored, reset, this.elsewhere?.cleared()]);
    return isStored;
  }

  /** Whether other servers use the same store. */
  get isStoreShared(): boolean {
    return this.deps.store.isShared;
  }

  /** Whether the store has everything that is in force here. */
  storeHealth(): ProbeResult {
    const unwritten = this.link.waiting + this.list.lostWrites;
    const pending = unwritten === 0 ? '' : `, ${unwritten} changes not stored yet`;
    const isOk = this.link.isUp && this.list.lostWrites === 0;
    return { ok: isOk, details: `${this.link.isUp ? 'available' : 'unavailable'}${pending}` };
  }

  /** Whether a ban covers an IP, a subnet, `host:port` or a peer ID. Throws INPUT_INVALID. */
  isSubjectBanned(text: string): boolean {
    return this.list.isBanned(checkedBanKey(text));
  }

  /** All bans in force. */
  bans(): readonly BanEntry[] {
    return this.list.entries();
  }

  /** Bans in force in the order in which they were added, and their number. `limit` undefined: all from `offset` on. */
  page(offset: number, limit: number | undefined): { readonly total: number; readonly bans: readonly BanEntry[] } {
    return this.list.page(offset, limit);
  }

  /** Why a peer ID, an IP, a subnet or a DataHub's host stands as it does. Throws INPUT_INVALID. */
  explain(text: string): Explanation {
    const { list, scores, seen, options } = this;
    return explanation(text, { list, scores, seen, isWhitelisted: options.isWhitelisted });
  }

  isBanned(peerId: PeerId): boolean {
    return this.list.banOfPeer(peerId) !== undefined;
  }

  /** The higher of a peer's scores as author and as propagation source. */
  scoreOf(peerId: PeerId): number {
    return this.scores.getBanScore(peerId);
  }

  /**
   * Adds the reason's points to a score. A ban that follows is in force when this returns; one that the blockchain
   * service decides, when `counted` resolves.
   */
  addScore(
    subject: string,
    reason: BanReason,
    facts: OffenceFacts,
  ): ScoreOutcome & { readonly counted: Promise<number> } {
    const { recounted, ...outcome } = this.scores.addScore(subject, reason, facts);
    if (outcome.ban !== undefined) this.automatic.ban(outcome.ban);
    void recounted.then((ban) => this.banUnlessBanned(ban));
    return outcome;
  }

  /** Records what failed at the host of a DataHub's URL, for `explain`; it has no consequences. */
  noteAtHost(url: string, reason: BanReason, facts: { readonly topic: string; readonly hash: Hash | undefined }): void {
    noteAtHost(this, url, reason, facts);
  }

  refusesAddress(ip: string): boolean {
    const parsed = parseIp(ip);
    if (parsed === undefined || this.list.banOfAddress(parsed) === undefined) return false;
    this.enforcement.refused('address_refused');
    return true;
  }

  refusesPeer(peerId: PeerId): boolean {
    if (!this.isBanned(peerId)) return false;
    this.enforcement.refused('peer_refused');
    return true;
  }

  connectionOpened(peerId: PeerId, ip: string | undefined): void {
    const parsed = ip === undefined ? undefined : parseIp(ip);
    if (parsed !== undefined) this.seen.saw(peerId, formatIp(parsed));
    this.enforcement.connectionOpened(peerId, parsed);
  }

  malformedRpc(peerId: PeerId): void {
    const now = this.deps.clock.monotonic();
    const last = this.malformedAtMs.get(peerId);
    if (last !== undefined && now - last < MALFORMED_RPC_INTERVAL_MS) return;
    this.malformedAtMs.set(peerId, now);
    this.addScore(peerId, 'protocol_violation', { role: 'relay', rule: 'broken_frame', topic: '', hash: undefined });
  }

  private banUnlessBanned(ban: BanDecision | undefined): void {
    if (ban !== undefined && !this.isBanned(ban.peerId)) this.automatic.ban(ban);
  }

  private scoresElsewhere(): ScoresElsewhere | undefined {
    const { authority } = this.deps;
    if (authority === undefined) return undefined;
    const ban = (decision: BanDecision) => this.banUnlessBanned(decision);
    const apply = (changes: readonly BanChange[]) => this.apply(changes);
    return new ScoresElsewhere({ ...this.deps, authority, list: this.list, ban, apply }, this.options);
  }

  /** What other servers changed in the store takes the same way as what this one changes. */
  private async reloadBans(changed: Changed): Promise<void> {
    for await (const changes of this.list.reload(changed)) this.apply(changes);
  }

  private apply(changes: readonly BanChange[]): void {
    this.enforcement.apply(changes);
    for (const change of changes) if (change.type === 'left_out') this.noteLeftOut(change.entry, change.why);
  }

  private noteLeftOut({ key, causedBy }: BanEntry, why: string): void {
    const subjects = causedBy === undefined ? [key] : [key, causedBy];
    this.scores.note(subjects, `ban of ${key} as address of ${causedBy} not taken over: ${why}`);
  }

  protected purge(): void {
    this.apply(this.list.purge());
    this.scores.purge();
    this.automatic.logUnlogged();
    // Peers that are still connected are seen now, however long ago they connected.
    for (const { id, addresses } of this.enforcement.connectedPeers())
      for (const ip of addresses.map(socketIp)) if (ip !== undefined) this.seen.saw(id, formatIp(ip));
    this.seen.purge();
    this.storePurge.start();
  }
}
