// Scores and offences in memory, by subject and role. Bounded: the subject whose last offence is oldest is forgotten
// first.
import type { Offence, RoleScore, ScoreRole, ScoreRow } from '../../domain/offence.ts';
import { decayed, raised } from '../../domain/score-decay.ts';
import { BoundedMap } from '../../lib/bounded-map.ts';

/** Number of latest offences kept per subject. */
const MAX_OFFENCES = 50;

interface Account {
  readonly scores: Map<ScoreRole, ScoreRow>;
  offences: Offence[];
}

export class Ledger {
  private readonly accounts: BoundedMap<string, Account>;

  constructor({ maxSubjects, onEvict }: { readonly maxSubjects: number; readonly onEvict?: () => void }) {
    this.accounts = new BoundedMap({ max: maxSubjects, ...(onEvict === undefined ? {} : { onEvict }) });
  }

  get size(): number {
    return this.accounts.size;
  }

  /** Adds the points to the decayed score, up to `ceiling`. Returns the new score. */
  add(offence: Offence, ceiling?: number): number {
    const account = this.touched(offence.subject);
    const row = account.scores.get(offence.role);
    const left = row === undefined ? { score: 0, atMs: offence.atMs } : decayed(row.score, row.atMs, offence.atMs);
    const score = raised(left.score, offence.points, ceiling);
    account.scores.set(offence.role, { subject: offence.subject, role: offence.role, score, atMs: left.atMs });
    account.offences.push(offence);
    if (account.offences.length > MAX_OFFENCES) account.offences.shift();
    return score;
  }

  /** Replaces a score by the row of the store. */
  set(row: ScoreRow): void {
    this.touched(row.subject).scores.set(row.role, row);
  }

  /** Replaces a subject's offences by those of the store, oldest first; ignored for a subject without a score. */
  setOffences(subject: string, offences: readonly Offence[]): void {
    const account = this.accounts.get(subject);
    if (account !== undefined) account.offences = offences.slice(-MAX_OFFENCES);
  }

  score(subject: string, role: ScoreRole, nowMs: number): number {
    const row = this.accounts.get(subject)?.scores.get(role);
    return row === undefined ? 0 : decayed(row.score, row.atMs, nowMs).score;
  }

  /** Scores above zero. */
  scores(subject: string, nowMs: number): RoleScore[] {
    return [...(this.accounts.get(subject)?.scores.values() ?? [])]
      .map((row) => ({ role: row.role, score: decayed(row.score, row.atMs, nowMs).score }))
      .filter(({ score }) => score > 0);
  }

  offences(subject: string): readonly Offence[] {
    return this.accounts.get(subject)?.offences ?? [];
  }

  /** In the order of their last offences, oldest first. */
  subjects(): string[] {
    return Array.from(this.accounts.oldestFirst(), ([subject]) => subject);
  }

  forget(subject: string): void {
    this.accounts.delete(subject);
  }

  /** Forgets subjects whose scores have decayed to zero. */
  purge(nowMs: number): void {
    for (const subject of this.subjects()) if (this.scores(subject, nowMs).length === 0) this.forget(subject);
  }

  private touched(subject: string): Account {
    const account = this.accounts.get(subject) ?? { scores: new Map(), offences: [] };
    this.accounts.set(subject, account);
    return account;
  }
}
