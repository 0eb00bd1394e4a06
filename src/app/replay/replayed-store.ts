// The ban store of a replay: what the node's store had at the start of the capture, in memory.
import type { BanEntry } from '../../domain/ban.ts';
import type { Offence, ScoreRow } from '../../domain/offence.ts';
import { decayed, raised } from '../../domain/score-decay.ts';
import type { BanStore, SeenAddress, StoredScores } from '../../ports/ban-store.ts';

export class ReplayedStore implements BanStore {
  readonly isShared = false;
  private readonly bans: BanEntry[] = [];
  private readonly offences: Offence[] = [];
  private readonly addresses: SeenAddress[] = [];
  /** By subject and role. */
  private readonly scores = new Map<string, ScoreRow>();

  /** Rows of the capture; to be given before the bans start. */
  add(rows: {
    readonly bans: readonly BanEntry[];
    readonly scores: readonly ScoreRow[];
    readonly offences: readonly Offence[];
    readonly addresses: readonly SeenAddress[];
  }): void {
    this.bans.push(...rows.bans);
    this.offences.push(...rows.offences);
    this.addresses.push(...rows.addresses);
    for (const row of rows.scores) this.scores.set(`${row.role} ${row.subject}`, row);
  }

  async loadBans(): Promise<BanEntry[]> {
    return this.bans;
  }

  async loadBan(): Promise<undefined> {
    return undefined;
  }

  async loadScores(): Promise<StoredScores> {
    return { scores: [...this.scores.values()], offences: this.offences };
  }

  async loadScoresOf(): Promise<StoredScores> {
    return { scores: [], offences: [] };
  }

  /** As the stores on disk count. */
  async addOffence({ subject, role, points, atMs }: Offence, ceiling?: number): Promise<ScoreRow> {
    const key = `${role} ${subject}`;
    const row = this.scores.get(key) ?? { score: 0, atMs };
    const left = decayed(row.score, row.atMs, atMs);
    const next = { subject, role, score: raised(left.score, points, ceiling), atMs: left.atMs };
    this.scores.set(key, next);
    return next;
  }

  async resetScores(subjects: readonly string[]): Promise<void> {
    for (const subject of subjects)
      for (const role of ['author', 'relay', 'datahub']) this.scores.delete(`${role} ${subject}`);
  }

  async loadAddresses(): Promise<SeenAddress[]> {
    return this.addresses;
  }

  async loadAddressesAt(): Promise<SeenAddress[]> {
    return [];
  }

  async purge(): Promise<'done'> {
    return 'done';
  }

  async legacyBans(): Promise<[]> {
    return [];
  }

  subscribe(): () => void {
    return () => {};
  }

  async open(): Promise<void> {}
  async close(): Promise<void> {}
  async putBan(): Promise<void> {}
  async removeBan(): Promise<void> {}
  async clearBans(): Promise<void> {}
  async putAddress(): Promise<void> {}
  async legacyTaken(): Promise<void> {}
}
