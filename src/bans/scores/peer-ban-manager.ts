// Keeps score (spec `PeerBanManager`): points for offences, by role, fading with time, kept across restarts. Whoever reaches the threshold is
// handed to the handler, which bans; in shadow mode, or by a shadowed rule, it is only noted what would have happened.

import type { Hash, PeerId } from '../../domain/ids.ts';
import type { BanReason, Offence, ScoreRole, ScoreRow } from '../../ports/ban-store.ts';
import type { Clock } from '../../ports/clock.ts';
import type { Logger } from '../../ports/log.ts';
import type { Counter, Metrics } from '../../ports/metrics.ts';
import type { Changed, StoreLink } from '../store/store-link.ts';
import { Ledger } from './ledger.ts';
import { NOTED_RULE, REASON_POINTS } from './reasons.ts';

/** What is known of an offence beside who and why. */
export interface OffenceFacts {
  readonly role: ScoreRole;
  /** The rule that noticed; a closed set. */
  readonly rule: string;
  readonly topic: string;
  readonly hash: Hash | undefined;
}

/** Spec `BanEventHandler`. */
export interface BanEventHandler {
  /** Called outside of everything that is being changed. `untilMs` is unix time. */
  onPeerBanned(peerId: PeerId, untilMs: number, reason: string, offence: Offence): void;
  isBanned(peerId: PeerId): boolean;
}

export interface PeerBanManagerOptions {
  /** `p2p_ban_threshold`. */
  readonly threshold: number;
  /** `p2p_ban_duration`. */
  readonly durationMs: number;
  /** Scores are kept of whitelisted peers too, and ban nobody. */
  readonly isWhitelisted: (peerId: PeerId) => boolean;
  /** True where a rule's offences are recorded only. */
  readonly isShadow: (rule: string) => boolean;
}

export interface PeerBanManagerDependencies {
  readonly link: StoreLink;
  readonly handler: BanEventHandler;
  readonly clock: Clock;
  readonly log: Logger;
  readonly metrics: Metrics;
}

export interface ScoreOutcome {
  /** The score in that role after the offence. */
  readonly score: number;
  /** True when this offence banned, or, shadowed, would have. */
  readonly reachedThreshold: boolean;
  readonly isShadow: boolean;
}

/** Subjects with a score: some times the peers of a network; about 10 KiB each at the most. */
export const MAX_SUBJECTS = 10_000;
/** Subjects of one reset of many; a transaction of some milliseconds. */
const RESETS_AT_ONCE = 200;
const MAX_WITHHELD = 20;
const MAX_WITHHELD_SUBJECTS = 1000;

export class PeerBanManager {
  private readonly deps: PeerBanManagerDependencies;
  private readonly options: PeerBanManagerOptions;
  private readonly real: Ledger;
  private readonly shadow: Ledger;
  private readonly withheld = new Map<string, string[]>();
  private readonly offences: Counter;

  constructor(deps: PeerBanManagerDependencies, options: PeerBanManagerOptions) {
    this.deps = deps;
    this.options = options;
    const { metrics, link } = deps;
    this.offences = metrics.counter('teranode_p2p_offences_total', 'Offences noted', [
      'reason',
      'role',
      'rule',
      'mode',
    ]);
    const evicted = metrics.counter(
      'teranode_p2p_scores_evicted_total',
      'Scores forgotten because there were too many',
    );
    const bounds = { maxSubjects: MAX_SUBJECTS, onEvict: () => evicted.add() };
    this.real = new Ledger(bounds);
    this.shadow = new Ledger(bounds);
    metrics.gauge('teranode_p2p_scores', 'Peers and hosts with a score', () => this.real.size);
    metrics.gauge('teranode_p2p_scores_bound', 'Peers and hosts with a score at most', () => MAX_SUBJECTS);
    link.follow({ type: 'score', reload: (changed) => this.reload(changed) });
  }

  /** Reads the store; the link must be open. */
  async init(): Promise<void> {
    const { scores, offences } = await this.deps.link.store.loadScores();
    for (const row of oldestFirst(scores)) this.real.set(row);
    for (const [subject, list] of bySubject(offences)) this.real.setOffences(subject, list);
  }

  /** Adds the reason's points; the score in that role after it. Never waits: the store hears of it later. */
  addScore(subject: string, reason: BanReason, facts: OffenceFacts): ScoreOutcome {
    const offence: Offence = { subject, reason, points: REASON_POINTS[reason], atMs: this.deps.clock.now(), ...facts };
    const isShadow = facts.rule === NOTED_RULE || this.options.isShadow(facts.rule);
    this.offences.add(1, { reason, role: facts.role, rule: facts.rule, mode: isShadow ? 'shadow' : 'enforce' });
    if (isShadow) return this.addShadow(offence);
    const score = this.real.add(offence);
    this.deps.log.debug({ ...offence, score }, 'offence noted');
    void this.deps.link.write(`score ${subject}`, async (store) => {
      const row = await store.addOffence(offence);
      // What other servers added counts too.
      if (!this.hasMoreOnTheWay(subject)) {
        this.real.set(row);
        this.banIfDue(offence);
      }
    });
    const isBanned = this.banIfDue(offence);
    if (!isBanned && this.shadow.score(subject, facts.role, offence.atMs) > 0) this.withholdIfDue(offence);
    return { score, reachedThreshold: isBanned, isShadow: false };
  }

  /** The write in hand is one; another, or one to come, means that the store does not know all yet. */
  private hasMoreOnTheWay(subject: string): boolean {
    return this.deps.link.pendingCount(`score ${subject}`) > 1;
  }

  private addShadow(offence: Offence): ScoreOutcome {
    const score = this.shadow.add(offence);
    return { score, reachedThreshold: this.withholdIfDue(offence), isShadow: true };
  }

  /** Notes a ban that this offence would have brought about if shadowed ones counted. */
  private withholdIfDue(offence: Offence): boolean {
    const { subject, role, points, reason } = offence;
    const { threshold } = this.options;
    const now = this.deps.clock.now();
    const score = this.shadow.score(subject, role, now) + this.real.score(subject, role, now);
    if (score < threshold || score - points >= threshold || !this.mayBeBanned(offence)) return false;
    this.withhold(subject, `ban for ${reason}, score ${score} as ${role}`);
    return true;
  }

  /** False for hosts, for peers that are spared, and for those that are banned already. */
  private mayBeBanned({ subject, role }: Offence): boolean {
    const peerId = subject as PeerId;
    return role !== 'datahub' && !this.options.isWhitelisted(peerId) && !this.deps.handler.isBanned(peerId);
  }

  /** Notes what was not done because of shadow mode; `subject` is a peer id, or an author of messages. */
  withhold(subject: string, what: string): void {
    this.noteWithheld(subject, what);
    this.deps.log.info({ subject, what }, 'policy withheld in shadow mode');
  }

  /** Notes what was not done because it would hit others; the subjects are an address and a peer. What stands last already is not said again. */
  note(subjects: readonly string[], what: string): void {
    const fresh = subjects.filter((subject) => this.withheld.get(subject)?.at(-1)?.endsWith(what) !== true);
    for (const subject of fresh) this.noteWithheld(subject, what);
    if (fresh.length > 0) this.deps.log.info({ subjects: fresh, what }, 'policy withheld to spare others');
  }

  private noteWithheld(subject: string, what: string): void {
    const notes = this.withheld.get(subject) ?? [];
    this.withheld.delete(subject);
    this.withheld.set(
      subject,
      [...notes, `${new Date(this.deps.clock.now()).toISOString()} ${what}`].slice(-MAX_WITHHELD),
    );
    if (this.withheld.size > MAX_WITHHELD_SUBJECTS) {
      const oldest = this.withheld.keys().next();
      if (!oldest.done) this.withheld.delete(oldest.value);
    }
  }

  private banIfDue(offence: Offence): boolean {
    const { subject, role } = offence;
    const { handler, clock } = this.deps;
    const score = this.real.score(subject, role, clock.now());
    if (score < this.options.threshold || !this.mayBeBanned(offence)) return false;
    handler.onPeerBanned(
      subject as PeerId,
      clock.now() + this.options.durationMs,
      `score ${score} as ${role}, last for ${offence.reason}`,
      offence,
    );
    return true;
  }

  /** The higher one of a peer's scores as author and as relay. */
  getBanScore(peerId: string): number {
    const now = this.deps.clock.now();
    return Math.max(this.real.score(peerId, 'author', now), this.real.score(peerId, 'relay', now));
  }

  isBanned(peerId: PeerId): boolean {
    return this.deps.handler.isBanned(peerId);
  }

  /** Forgets scores and offences of a subject, here and in the store. */
  async reset(subject: string): Promise<void> {
    this.real.forget(subject);
    this.shadow.forget(subject);
    this.withheld.delete(subject);
    await this.resetStored([subject]);
  }

  /** As {@link reset}, of many, those included that only the store knows; few writes, so that those that wait are not pushed out. */
  async resetAll(subjects: readonly string[]): Promise<void> {
    for (const subject of subjects) {
      for (const ledger of [this.real, this.shadow]) ledger.forget(subject);
      this.withheld.delete(subject);
    }
    const writes: Promise<void>[] = [];
    for (let at = 0; at < subjects.length; at += RESETS_AT_ONCE)
      writes.push(this.resetStored(subjects.slice(at, at + RESETS_AT_ONCE)));
    await Promise.all(writes);
  }

  private resetStored(subjects: readonly string[]): Promise<void> {
    return this.deps.link.write(
      subjects.map((subject) => `score ${subject}`),
      (store) => store.resetScores(subjects),
    );
  }

  /** Everybody of whom a point is left. */
  list(): { readonly subject: string; readonly role: ScoreRole; readonly score: number }[] {
    const now = this.deps.clock.now();
    return [...this.real.subjects()].flatMap((subject) =>
      this.real.scores(subject, now).map((each) => ({ subject, ...each })),
    );
  }

  /** The latest offences of a subject that counted, oldest first; at most 50. */
  reasons(subject: string): readonly Offence[] {
    return this.real.offences(subject);
  }

  /** Scores, and what shadowed rules noted, of one subject. */
  accountOf(subject: string) {
    const now = this.deps.clock.now();
    const offences = [
      ...this.real.offences(subject).map((offence) => ({ ...offence, isShadow: false })),
      ...this.shadow.offences(subject).map((offence) => ({ ...offence, isShadow: true })),
    ].sort((a, b) => a.atMs - b.atMs);
    return {
      scores: this.real.scores(subject, now),
      shadowScores: this.shadow.scores(subject, now),
      offences,
      withheld: this.withheld.get(subject) ?? [],
      threshold: this.options.threshold,
    };
  }

  purge(): void {
    const now = this.deps.clock.now();
    this.real.purge(now);
    this.shadow.purge(now);
  }

  private async reload(changed: Changed): Promise<void> {
    const { link } = this.deps;
    if (changed === 'all') {
      const { scores, offences } = await link.store.loadScores();
      const stored = new Set(scores.map(({ subject }) => subject));
      for (const subject of [...this.real.subjects()])
        if (!stored.has(subject) && !link.isContested(`score ${subject}`)) this.real.forget(subject);
      const settled = (subject: string) => !link.isContested(`score ${subject}`);
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

/** Where not all of them fit, those who offended last are to stay. */
function oldestFirst(rows: readonly ScoreRow[]): readonly ScoreRow[] {
  return rows.toSorted((a, b) => a.atMs - b.atMs);
}

function bySubject(offences: readonly Offence[]): Map<string, Offence[]> {
  const lists = new Map<string, Offence[]>();
  for (const offence of offences) {
    const list = lists.get(offence.subject);
    if (list === undefined) lists.set(offence.subject, [offence]);
    else list.push(offence);
  }
  return lists;
}
