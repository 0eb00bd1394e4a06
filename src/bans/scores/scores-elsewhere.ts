// Scores of authors that the blockchain service keeps: offences go there, and a ban follows when the service says so.
// While it does not answer, this node's own scores decide. Bans of peers that the service lists hold here, until it
// lists them no more.
import { setImmediate as nextTurn } from 'node:timers/promises';
import type { BanEntry } from '../../domain/ban.ts';
import type { PeerId } from '../../domain/ids.ts';
import type { BanDecision, Offence } from '../../domain/offence.ts';
import { BoundedMap } from '../../lib/bounded-map.ts';
import { orAfter } from '../../lib/deadline.ts';
import { type Repeating, repeating } from '../../lib/repeating.ts';
import type { BanStore } from '../../ports/ban-store.ts';
import type { Clock } from '../../ports/clock.ts';
import type { Logger } from '../../ports/log.ts';
import type { ScoreAnswer, ScoreAuthority } from '../../ports/score-authority.ts';
import { peerKey } from '../list/ban-key.ts';
import type { BanChange, BanList } from '../list/ban-list.ts';
import { REASON_POINTS } from './reasons.ts';

export interface ScoresElsewhereDependencies {
  readonly authority: ScoreAuthority;
  readonly list: BanList;
  readonly store: Pick<BanStore, 'isShared'>;
  readonly clock: Clock;
  readonly log: Logger;
  /** Carries out a ban, unless the peer is banned already. */
  readonly ban: (decision: BanDecision) => void;
  readonly apply: (changes: readonly BanChange[]) => void;
}

export interface ScoresElsewhereOptions {
  /** `p2p_ban_duration`. */
  readonly durationMs: number;
  readonly isWhitelisted: (peerId: PeerId) => boolean;
}

/** How long a decision waits for the service; after that, this node's own scores decide. */
const PATIENCE_MS = 1000;
const REFRESH_MS = 30_000;
const MAX_REMEMBERED = 10_000;
/** Each costs a pass over the ban list; between them others get their turn. */
const LIFTED_AT_ONCE = 20;
const LISTED = 'banned at the blockchain service';

export class ScoresElsewhere {
  private readonly deps: ScoresElsewhereDependencies;
  private readonly options: ScoresElsewhereOptions;
  /** Peers whose bans the operator lifted here while the service, which has no call for that, may still list them. */
  private readonly pardoned = new BoundedMap<PeerId, true>({ max: MAX_REMEMBERED });
  /** Peers whose bans this process took from the service. */
  private readonly taken = new BoundedMap<PeerId, true>({ max: MAX_REMEMBERED });
  private clears = 0;
  private loop: Repeating | undefined;

  constructor(deps: ScoresElsewhereDependencies, options: ScoresElsewhereOptions) {
    this.deps = deps;
    this.options = options;
  }

  /** Takes over the bans that the service lists, now and from time to time. */
  async start(): Promise<void> {
    await this.refresh();
    const failed = (err: unknown) => this.deps.log.error({ err }, 'failed to take over bans of the blockchain service');
    this.loop ??= repeating(() => this.refresh(), { firstMs: REFRESH_MS, nextMs: () => REFRESH_MS }, failed);
  }

  stop(): void {
    this.loop?.stop();
  }

  keptBy() {
    return this.deps.authority.keptBy();
  }

  /** Whether the service decides: not about whitelisted peers, which are never banned, and only about authors. */
  decides(peerId: PeerId): boolean {
    return this.isKept(peerId) && this.deps.authority.isAnswering();
  }

  /** The score as author; undefined when this node's own score counts. */
  scoreOf(peerId: PeerId): number | undefined {
    return this.decides(peerId) ? this.deps.authority.scoreOf(peerId) : undefined;
  }

  /**
   * Reports an offence, and bans when the service says so, however late. Where it `decides` and does not answer soon,
   * `ownDecision` counts. Resolves with the score there, or undefined when there is no answer soon.
   */
  async add(offence: Offence, ownDecision: () => BanDecision | undefined): Promise<number | undefined> {
    const { authority } = this.deps;
    const peerId = offence.subject as PeerId;
    if (offence.role !== 'author' || !this.isKept(peerId)) return undefined;
    // The service has points of its own for the reasons that it knows: others than these it takes for other reasons.
    const isUsual = offence.points === REASON_POINTS[offence.reason];
    const answered = authority
      .addOffence(peerId, isUsual ? offence.reason : offence.rule, offence.points)
      .then((answer) => this.followed(offence, answer));
    // The caller has decided by itself then.
    if (!authority.isAnswering()) return undefined;
    const answer = await orAfter(answered, PATIENCE_MS, undefined);
    if (answer === undefined) this.ban(ownDecision());
    return answer?.score;
  }

  /** The operator lifted the ban of a peer. */
  unbanned(peerId: PeerId): void {
    if (this.keptBy() === 'blockchain service') this.pardoned.set(peerId, true);
  }

  /** The operator lifted all bans. */
  async cleared(): Promise<void> {
    this.clears += 1;
    this.pardoned.clear();
    if (this.keptBy() === 'blockchain service') await orAfter(this.deps.authority.clearBans(), PATIENCE_MS, undefined);
  }

  private isKept(peerId: PeerId): boolean {
    const isExempt = this.options.isWhitelisted(peerId) || this.pardoned.has(peerId);
    return !isExempt && this.keptBy() === 'blockchain service';
  }

  private followed(offence: Offence, answer: ScoreAnswer | undefined): ScoreAnswer | undefined {
    if (answer?.isNewBan !== true) return answer;
    const { subject, reason } = offence;
    const untilMs = this.deps.clock.now() + this.options.durationMs;
    const text = `score ${answer.score} at the blockchain service, last for ${reason}`;
    const peerId = subject as PeerId;
    this.taken.set(peerId, true);
    this.ban({ peerId, untilMs, reason: text, offence, source: 'service' });
    return answer;
  }

  private ban(decision: BanDecision | undefined): void {
    if (decision !== undefined) this.deps.ban(decision);
  }

  private async refresh(): Promise<void> {
    const { authority, list, clock } = this.deps;
    const { clears } = this;
    const startedMs = clock.now();
    const listed = await authority.bannedPeers();
    // What was read before the operator lifted all bans is outdated.
    if (listed === undefined || clears !== this.clears) return;
    const there = new Set(listed);
    for (const [peerId] of this.pardoned.oldestFirst()) if (!there.has(peerId)) this.pardoned.delete(peerId);
    const added = listed.flatMap((peerId) => this.takeOver(peerId));
    this.deps.apply(added);
    const isGone = (entry: BanEntry) => !there.has(entry.key as PeerId) && entry.createdAtMs < startedMs;
    const gone = list.entries().filter((entry) => this.isTaken(entry) && isGone(entry));
    await this.lift(gone);
    if (added.length > 0 || gone.length > 0)
      this.deps.log.info({ listed: listed.length, lifted: gone.length }, 'took over bans of the blockchain service');
  }

  private async lift(gone: readonly BanEntry[]): Promise<void> {
    for (const [index, { key }] of gone.entries()) {
      this.deps.apply(this.deps.list.remove(peerKey(key as PeerId)).changes);
      this.taken.delete(key as PeerId);
      if (index % LIFTED_AT_ONCE === LIFTED_AT_ONCE - 1) await nextTurn();
    }
  }

  private takeOver(peerId: PeerId): readonly BanChange[] {
    const { list, clock } = this.deps;
    if (!this.isKept(peerId) || list.banOfPeer(peerId) !== undefined) return [];
    const facts = { reason: LISTED, evidence: '', source: 'service', causedBy: undefined } as const;
    this.taken.set(peerId, true);
    return list.add(peerKey(peerId), clock.now() + this.options.durationMs, facts).changes;
  }

  /** Other servers that share the store may have taken a ban from a blockchain service of their own. */
  private isTaken({ key, kind, source }: BanEntry): boolean {
    if (kind !== 'peer' || source !== 'service') return false;
    return !this.deps.store.isShared || this.taken.has(key as PeerId);
  }
}
