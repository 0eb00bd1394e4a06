// The last choice of the sync peer and the end of the last sync, as operators see them.
import type { PeerId } from '../domain/ids.ts';
import type { Clock } from '../ports/clock.ts';
import type { EndedSync, SyncChoice, SyncExplanations, SyncOutcome } from '../ports/sync-status.ts';
import { choiceText, consideredText, endText } from './choice-text.ts';
import type { SyncEnd } from './sync-policy.ts';
import type { Weighed } from './weighed.ts';

const NOTHING: Weighed = { known: 0, usable: 0, decidedBy: undefined, passedOver: [], considered: [] };

export class ChoiceRecord implements SyncExplanations {
  private readonly clock: Pick<Clock, 'now'>;
  private current: SyncChoice | undefined;
  private ended: EndedSync | undefined;

  constructor(clock: Pick<Clock, 'now'>) {
    this.clock = clock;
  }

  choice(): SyncChoice | undefined {
    return this.current;
  }

  lastEnd(): EndedSync | undefined {
    return this.ended;
  }

  /** `weighed` undefined: no peers were compared this time. */
  noteChoice(outcome: SyncOutcome, weighed: Weighed | undefined, peerId?: PeerId): void {
    const before = this.current;
    const nowMs = this.clock.now();
    const isSame = before?.outcome === outcome && before.peerId === peerId;
    const explanation = choiceText(outcome, weighed);
    const changed = { outcome, explanation, peerId, sinceMs: isSame ? before.sinceMs : nowMs };
    // A choice that backs off shows the comparison that made it do so.
    if (weighed === undefined && outcome === 'backing_off' && before !== undefined) {
      this.current = { ...before, ...changed };
      return;
    }
    const { considered, ...counts } = weighed ?? NOTHING;
    this.current = {
      ...changed,
      comparedAtMs: nowMs,
      ...counts,
      considered: considered.map(({ coolDownMs, ...peer }) => ({
        ...peer,
        explanation: consideredText(peer),
        coolDownUntilMs: coolDownMs === undefined ? undefined : nowMs + Math.round(coolDownMs),
      })),
    };
  }

  noteEnd(peerId: PeerId, reason: SyncEnd, failedAttempts: number): void {
    this.ended = { peerId, reason, explanation: endText(reason), atMs: this.clock.now(), failedAttempts };
  }
}
