// The ban service whose orders, offences and connections pass through a tap.
import { BanService, type BanServiceDependencies, type BanServiceOptions } from '../bans/service.ts';
import type { LiftedBan, OrderedBan } from '../domain/ban.ts';
import type { PeerId } from '../domain/ids.ts';
import type { BanReason, OffenceFacts, ScoreOutcome } from '../domain/offence.ts';
import type { InputValue, Tap } from './tap.ts';

export interface TappedBansDependencies extends BanServiceDependencies {
  readonly tap: Tap;
  /** Called with what the store had at the start. */
  readonly onStarted?: (values: readonly InputValue[]) => Promise<void>;
}

/** Of bans and scores in one record. */
const ROWS_AT_ONCE = 500;
/** Of a later part: the latest. An exact replay needs the parts before. */
const MAX_BANS = 10_000;

export class TappedBans extends BanService {
  private readonly tap: Tap;
  private readonly tapped: TappedBansDependencies;

  constructor(deps: TappedBansDependencies, options: BanServiceOptions) {
    super(deps, options);
    const { tap } = deps;
    this.tap = tap;
    this.tapped = deps;
    this.list.subscribe(({ type, entry, ...event }) => {
      const { key, source, untilMs, causedBy = '', reason } = entry;
      tap.decided(
        type === 'added'
          ? ['ban', key, source, untilMs, causedBy, reason]
          : ['unban', key, 'why' in event ? event.why : ''],
      );
    });
  }

  override async start(signal: AbortSignal): Promise<void> {
    await super.start(signal);
    const { store, onStarted } = this.tapped;
    if (onStarted === undefined) return;
    const [{ scores, offences }, addresses] = await Promise.all([store.loadScores(), store.loadAddresses()]);
    await onStarted([
      ...chunks(this.bans()).map((bans) => ({ bans })),
      ...chunks(scores).map((some) => ({ scores: some })),
      ...chunks(offences).map((some) => ({ offences: some })),
      ...chunks(addresses).map((some) => ({ addresses: some })),
    ]);
  }

  override ban(text: string, untilMs?: number, reason = ''): Promise<OrderedBan> {
    return this.tap.input('ban', { text, untilMs, reason }, () => super.ban(text, untilMs, reason));
  }

  override unban(text: string): Promise<LiftedBan> {
    return this.tap.input('unban', { text }, () => super.unban(text));
  }

  override clear(): Promise<boolean> {
    return this.tap.input('clear', {}, () => super.clear());
  }

  override addScore(
    subject: string,
    reason: BanReason,
    facts: OffenceFacts,
  ): ScoreOutcome & { readonly counted: Promise<number> } {
    return this.tap.input('score', { subject, reason, facts }, () => {
      const outcome = super.addScore(subject, reason, facts);
      this.tap.decided(['score', subject, facts.role, reason, facts.rule, outcome.score, outcome.isShadow]);
      return outcome;
    });
  }

  override connectionOpened(peerId: PeerId, ip: string | undefined): void {
    this.tap.input('opened', { peerId, ip }, () => super.connectionOpened(peerId, ip));
  }

  override malformedRpc(peerId: PeerId): void {
    this.tap.input('malformed', { peerId }, () => super.malformedRpc(peerId));
  }

  /** Bans and scores as values of records: what a later part of a capture begins with. */
  snapshot(): InputValue[] {
    const bans = this.bans().slice(-MAX_BANS);
    const atMs = this.tap.clock.now();
    const scores = this.scores.list().map((each) => ({ ...each, atMs }));
    return [...chunks(bans).map((some) => ({ bans: some })), ...chunks(scores).map((some) => ({ scores: some }))];
  }

  /** All scores above zero. */
  scoreList() {
    return this.scores.list();
  }

  /** The clean-up that a timer begins; a replay calls it. */
  tick(): void {
    this.purge();
  }

  protected override purge(): void {
    this.tap.tick('bans', () => super.purge());
  }
}

export function chunks<T>(all: readonly T[]): T[][] {
  const parts: T[][] = [];
  for (let at = 0; at < all.length; at += ROWS_AT_ONCE) parts.push(all.slice(at, at + ROWS_AT_ONCE));
  return parts;
}
