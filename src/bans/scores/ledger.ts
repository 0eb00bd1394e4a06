// Scores and offences in memory, by subject and role. Bounded: whoever offended longest ago is forgotten first.
import type { Offence, ScoreRole, ScoreRow } from '../../ports/ban-store.ts';
import { decayed } from './reasons.ts';

/** Latest offences kept of each subject. */
const MAX_OFFENCES = 50;

interface Account {
  readonly scores: Map<ScoreRole, ScoreRow>;
  offences: Offence[];
}

export class Ledger {
  private readonly accounts = new Map<string, Account>();
  private readonly options: { readonly maxSubjects: number; readonly onEvict?: () => void };

  constructor(options: { readonly maxSubjects: number; readonly onEvict?: () => void }) {
    this.options = options;
  }

  get size(): number {
    return this.accounts.size;
  }

  /** Adds points to what is left of the score. Returns the score after it. */
  add(offence: Offence): number {
    const account = this.touched(offence.subject);
    const row = account.scores.get(offence.role);
    const left = row === undefined ? { score: 0, atMs: offence.atMs } : decayed(row.score, row.atMs, offence.atMs);
    const score = left.score + offence.points;
    account.scores.set(offence.role, { subject: offence.subject, role: offence.role, score, atMs: left.atMs });
    account.offences.push(offence);
    if (account.offences.length > MAX_OFFENCES) account.offences.shift();
    return score;
  }

  /** Takes a row as it stands in the store. */
  set(row: ScoreRow): void {
    this.touched(row.subject).scores.set(row.role, row);
  }

  /** Takes a subject's offences as they stand in the store, oldest first; nothing of one without a score. */
  setOffences(subject: string, offences: readonly Offence[]): void {
    const account = this.accounts.get(subject);
    if (account !== undefined) account.offences = offences.slice(-MAX_OFFENCES);
  }

  score(subject: string, role: ScoreRole, nowMs: number): number {
    const row = this.accounts.get(subject)?.scores.get(role);
    return row === undefined ? 0 : decayed(row.score, row.atMs, nowMs).score;
  }

  /** Scores that have something left. */
  scores(subject: string, nowMs: number): { readonly role: ScoreRole; readonly score: number }[] {
    return [...(this.accounts.get(subject)?.scores.values() ?? [])]
      .map((row) => ({ role: row.role, score: decayed(row.score, row.atMs, nowMs).score }))
      .filter(({ score }) => score > 0);
  }

  offences(subject: string): readonly Offence[] {
    return this.accounts.get(subject)?.offences ?? [];
  }

  has(subject: string): boolean {
    return this.accounts.has(subject);
  }

  subjects(): IterableIterator<string> {
    return this.accounts.keys();
  }

  forget(subject: string): void {
    this.accounts.delete(subject);
  }

  clear(): void {
    this.accounts.clear();
  }

  /** Forgets those of whom no point is left. */
  purge(nowMs: number): void {
    for (const subject of [...this.accounts.keys()]) if (this.scores(subject, nowMs).length === 0) this.forget(subject);
  }

  private touched(subject: string): Account {
    const account = this.accounts.get(subject) ?? { scores: new Map(), offences: [] };
    this.accounts.delete(subject);
    this.accounts.set(subject, account);
    while (this.accounts.size > this.options.maxSubjects) {
      const oldest = this.accounts.keys().next();
      if (oldest.done) break;
      this.accounts.delete(oldest.value);
      this.options.onEvict?.();
    }
    return account;
  }
}
