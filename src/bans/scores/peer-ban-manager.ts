// Keeps scores (spec `PeerBanManager`): points for offences, by role, decaying with time, kept across restarts. A peer
// that reaches the threshold is to be banned: the decision is returned, and the service applies it. In shadow mode the
// ban is only recorded.

import type { PeerId } from '../../domain/ids.ts';
import type {
  BanDecision,
  BanReason,
  Offence,
  OffenceFacts,
  RoleScore,
  ScoreOutcome,
  ScoreRow,
} from '../../domain/offence.ts';
import type { Clock } from '../../ports/clock.ts';
import type { Logger } from '../../ports/log.ts';
import { type Counter, gaugeWithBound, type Metrics } from '../../ports/metrics.ts';
import type { Changed, StoreLink } from '../store/store-link.ts';
import { Ledger } from './ledger.ts';
import { type Charge, chargeOf, NOTED_RULE } from './reasons.ts';
import type { ScoresElsewhere } from './scores-elsewhere.ts';
import { Withheld } from './withheld.ts';

export interface PeerBanManagerOptions {
  /** `p2p_ban_threshold`. */
  readonly threshold: number;
  /** `p2p_ban_duration`. */
  readonly durationMs: number;
  /** Whitelisted peers have scores, but are never banned. */
  readonly isWhitelisted: (peerId: PeerId) => boolean;
  /** Whether offences against a rule are only recorded. */
  readonly isShadow: (rule: string) => boolean;
}

export interface PeerBanManagerDependencies {
  readonly link: StoreLink;
  readonly isBanned: (peerId: PeerId) => boolean;
  /** Where another service keeps the scores of authors; it bans by itself. */
  readonly elsewhere?: Pick<ScoresElsewhere, 'add' | 'decides' | 'scoreOf' | 'keptBy'> | undefined;
  readonly clock: Clock;
  readonly log: Logger;
  readonly metrics: Metrics;
}

/** An outcome, and the decision that follows once the store has added the points that other servers gave. */
export interface ScoreResult extends ScoreOutcome {
  readonly recounted: Promise<BanDecision | undefined>;
  /** Resolves with the score of whoever keeps it, once it is counted there; within a second. */
  readonly counted: Promise<number>;
}

/** Maximum number of subjects with a score: several times the peers of a network, at most about 10 KiB each. */
export const MAX_SUBJECTS = 10_000;
/** Subjects reset in one write: a transaction of a few milliseconds. */
const RESETS_AT_ONCE = 200;

export class PeerBanManager {
  private readonly deps: PeerBanManagerDependencies;
  private readonly options: PeerBanManagerOptions;
  private readonly real: Ledger;
  private readonly shadow: Ledger;
  private readonly withheld: Withheld;
  private readonly offences: Counter;

  constructor(deps: PeerBanManagerDependencies, options: PeerBanManagerOptions) {
    this.deps = deps;
    this.options = options;
    const { metrics, clock } = deps;
    const labels = ['reason', 'role', 'rule', 'mode'];
    this.offences = metrics.counter('teranode_p2p_offences_total', 'Offences by reason, role, rule and mode', labels);
    const evicted = metrics.counter('teranode_p2p_scores_evicted_total', 'Scores forgotten because of the limit');
    const bounds = { maxSubjects: MAX_SUBJECTS, onEvict: () => evicted.add() };
    this.real = new Ledger(bounds);
    this.shadow = new Ledger(bounds);
    this.withheld = new Withheld(clock);
    const gauge = { name: 'teranode_p2p_scores', help: 'Peers and DataHub hosts with a score' };
    gaugeWithBound(metrics, gauge, () => this.real.size, MAX_SUBJECTS);
  }

  /** Loads the scores of the store; the link must be open. */
  async init(): Promise<void> {
    const { scores, offences } = await this.deps.link.store.loadScores();
    for (const row of oldestFirst(scores)) this.real.set(row);
    for (const [subject, list] of bySubject(offences)) this.real.setOffences(subject, list);
  }

  /**
   * Adds the points of the rule, else those of the reason. Never waits: the store gets them later. An offence that adds
   * nothing, because the score is as high as such offences raise it, is only counted.
   */
  addScore(subject: string, reason: BanReason, facts: OffenceFacts): ScoreResult {
    const isShadow = facts.rule === NOTED_RULE || this.options.isShadow(facts.rule);
    this.offences.add(1, { reason, role: facts.role, rule: facts.rule, mode: isShadow ? 'shadow' : 'enforce' });
    const charge = chargeOf(reason, facts.rule, this.options.threshold);
    const before = this.scoreBefore(subject, facts, isShadow);
    const points = Math.min(charge.points, Math.max(0, charge.ceiling - before));
    if (points === 0) return unchanged(before, isShadow);
    const offence: Offence = { subject, reason, points, atMs: this.deps.clock.now(), ...facts };
    if (isShadow) return this.addShadow(offence);
    const score = this.real.add(offence);
    this.deps.log.debug({ ...offence, score }, 'offence recorded');
    const isDecidedElsewhere = this.isDecidedElsewhere(offence);
    const stored = this.recount(offence, charge);
    const there = this.deps.elsewhere?.add(offence, () => this.decision(offence));
    const counted = Promise.resolve(there).then((answered) => answered ?? score);
    const ban = isDecidedElsewhere ? undefined : this.decision(offence);
    const recounted = isDecidedElsewhere || ban !== undefined ? Promise.resolve(undefined) : stored;
    const hasShadow = this.shadow.score(subject, facts.role, offence.atMs) > 0;
    if (ban === undefined && hasShadow) this.withholdIfDue(offence);
    return { score, reachedThreshold: ban !== undefined, isShadow: false, ban, recounted, counted };
  }

  private scoreBefore(subject: string, { role }: OffenceFacts, isShadow: boolean): number {
    const now = this.deps.clock.now();
    const here = this.real.score(subject, role, now);
    if (isShadow) return here + this.shadow.score(subject, role, now);
    return role === 'author' ? Math.max(here, this.deps.elsewhere?.scoreOf(subject as PeerId) ?? 0) : here;
  }

  private isDecidedElsewhere({ subject, role }: Offence): boolean {
    return role === 'author' && this.deps.elsewhere?.decides(subject as PeerId) === true;
  }

  /** Stores an offence. The store's score counts the offences that other servers recorded too. */
  private recount(offence: Offence, { ceiling }: Charge): Promise<BanDecision | undefined> {
    const { link } = this.deps;
    const key = `score ${offence.subject}`;
    const { promise, resolve } = Promise.withResolvers<BanDecision | undefined>();
    const work = async (store: StoreLink['store']) => {
      const row = await store.addOffence(offence, ceiling);
      // With more writes pending, the store does not have all offences yet.
      if (link.pendingCount(key) > 1) return resolve(undefined);
      this.real.set(row);
      resolve(this.decision(offence));
    };
    void link.write(key, work, () => resolve(undefined));
    return promise;
  }

  private addShadow(offence: Offence): ScoreResult {
    const score = this.shadow.add(offence);
    const reachedThreshold = this.withholdIfDue(offence);
    const counted = Promise.resolve(score);
    return { score, reachedThreshold, isShadow: true, ban: undefined, recounted: Promise.resolve(undefined), counted };
  }

  /** Records the ban to which this offence would have led if offences in shadow mode counted. */
  private withholdIfDue(offence: Offence): boolean {
    const { subject, role, points, reason } = offence;
    const { threshold } = this.options;
    const now = this.deps.clock.now();
    const score = this.shadow.score(subject, role, now) + this.real.score(subject, role, now);
    if (score < threshold || score - points >= threshold || !this.mayBeBanned(offence)) return false;
    const withheld = `ban for ${reason}, score ${score} as ${role}`;
    this.withheld.add(subject, withheld);
    this.deps.log.info({ subject, withheld }, 'ban withheld in shadow mode');
    return true;
  }

  /** False for DataHub hosts, whitelisted peers, and peers that are banned already. */
  private mayBeBanned({ subject, role }: Offence): boolean {
    const peerId = subject as PeerId;
    return role !== 'datahub' && !this.options.isWhitelisted(peerId) && !this.deps.isBanned(peerId);
  }

  /**
   * Records a ban that was not carried out because it would hit other peers, unless a subject's latest note says so
   * already.
   */
  note(subjects: readonly string[], withheld: string): void {
    const fresh = subjects.filter((subject) => !this.withheld.isLatest(subject, withheld));
    for (const subject of fresh) this.withheld.add(subject, withheld);
    if (fresh.length > 0) this.deps.log.info({ subjects: fresh, withheld }, 'ban withheld to spare other peers');
  }

  /** The ban that is due after the offence. */
  private decision(offence: Offence): BanDecision | undefined {
    const { subject, role } = offence;
    const now = this.deps.clock.now();
    const score = this.real.score(subject, role, now);
    if (score < this.options.threshold || !this.mayBeBanned(offence)) return undefined;
    const reason = `score ${score} as ${role}, last for ${offence.reason}`;
    return { peerId: subject as PeerId, untilMs: now + this.options.durationMs, reason, offence };
  }

  /** The higher of a peer's scores as author and as propagation source. */
  getBanScore(peerId: string): number {
    const now = this.deps.clock.now();
    const asAuthor = this.deps.elsewhere?.scoreOf(peerId as PeerId) ?? this.real.score(peerId, 'author', now);
    return Math.max(asAuthor, this.real.score(peerId, 'relay', now));
  }

  isBanned(peerId: PeerId): boolean {
    return this.deps.isBanned(peerId);
  }

  /** Forgets scores and offences of a subject, in memory and in the store. */
  async reset(subject: string): Promise<void> {
    await this.resetAll([subject]);
  }

  /**
   * As {@link reset}, for many subjects, also those that only the store has; in few writes, so that they push no others
   * out of the queue.
   */
  async resetAll(subjects: readonly string[]): Promise<void> {
    for (const subject of subjects) for (const each of [this.real, this.shadow, this.withheld]) each.forget(subject);
    const { link } = this.deps;
    const writes: Promise<unknown>[] = [];
    for (let at = 0; at < subjects.length; at += RESETS_AT_ONCE) {
      const some = subjects.slice(at, at + RESETS_AT_ONCE);
      const keys = some.map((subject) => `score ${subject}`);
      writes.push(link.write(keys, (store) => store.resetScores(some)));
    }
    await Promise.all(writes);
  }

  /** All scores above zero. */
  list(): ({ readonly subject: string } & RoleScore)[] {
    const now = this.deps.clock.now();
    return this.real
      .subjects()
      .flatMap((subject) => this.real.scores(subject, now).map((each) => ({ subject, ...each })));
  }

  /** The latest offences of a subject that counted, oldest first; at most 50. */
  reasons(subject: string): readonly Offence[] {
    return this.real.offences(subject);
  }

  /** What `explain` shows of a subject: its scores and offences, those in shadow mode included. */
  accountOf(subject: string) {
    const now = this.deps.clock.now();
    const offences = [
      ...this.real.offences(subject).map((offence) => ({ ...offence, isShadow: false })),
      ...this.shadow.offences(subject).map((offence) => ({ ...offence, isShadow: true })),
    ].sort((a, b) => a.atMs - b.atMs);
    const own = this.real.scores(subject, now);
    const there = this.deps.elsewhere?.scoreOf(subject as PeerId);
    const others = own.filter(({ role }) => role !== 'author');
    return {
      scores:
        there === undefined ? own : [...(there > 0 ? [{ role: 'author' as const, score: there }] : []), ...others],
      scoreKeptBy: this.deps.elsewhere?.keptBy() ?? ('this node' as const),
      shadowScores: this.shadow.scores(subject, now),
      offences,
      withheld: this.withheld.of(subject),
      threshold: this.options.threshold,
    };
  }

  purge(): void {
    const now = this.deps.clock.now();
    this.real.purge(now);
    this.shadow.purge(now);
  }

  /** Reads again what other servers changed in the store; bans nobody by itself. */
  async reload(changed: Changed): Promise<void> {
    const { link } = this.deps;
    if (changed === 'all') {
      const { scores, offences } = await link.store.loadScores();
      const stored = new Set(scores.map(({ subject }) => subject));
      const settled = (subject: string) => !link.isContested(`score ${subject}`);
      for (const subject of this.real.subjects())
        if (!stored.has(subject) && settled(subject)) this.real.forget(subject);
      for (const row of oldestFirst(scores)) if (settled(row.subject)) this.real.set(row);
      for (const [subject, list] of bySubject(offences)) if (settled(subject)) this.real.setOffences(subject, list);
      return;
    }
    for (const subject of changed) {
      const { scores, offences } = await link.store.loadScoresOf(subject);
      if (link.isContested(`score ${subject}`)) continue;
      this.real.forget(subject);
      for (const row of scores) this.real.set(row);
      this.real.setOffences(subject, offences);
    }
  }
}

/** Of an offence that adds nothing to the score. */
function unchanged(score: number, isShadow: boolean): ScoreResult {
  const [recounted, counted] = [Promise.resolve(undefined), Promise.resolve(score)];
  return { score, reachedThreshold: false, isShadow, ban: undefined, recounted, counted };
}

/** When there are too many, the subjects with the latest offences stay. */
function oldestFirst(rows: readonly ScoreRow[]): readonly ScoreRow[] {
  return rows.toSorted((a, b) => a.atMs - b.atMs);
}

function bySubject(offences: readonly Offence[]): Map<string, readonly Offence[]> {
  return Map.groupBy(offences, ({ subject }) => subject);
}
