// The id of an event, `<epoch>-<number>`, and what a client that names one has missed.
import type { EventFeed, EventReader } from '../../../domain/event-feed.ts';
import type { NotificationType } from '../../../domain/notification.ts';
import { HttpProblem } from '../server/http-problem.ts';

/** Fifteen digits are exact as a number. */
const FORM = /^([0-9a-z]{1,20})-(\d{1,15})$/;
const MAX_SHOWN_CHARS = 50;

/**
 * Why events may be missing: `not_kept`: the client came too late or read too slowly. `restarted`: the server was
 * started again after that event; what it received before, and what nobody received meanwhile, is unknown. `ahead`: no
 * such event has been sent yet.
 */
export const LOST_REASONS = ['not_kept', 'restarted', 'ahead'] as const;
export type LostReason = (typeof LOST_REASONS)[number];

/** What a client gets instead of events. */
export interface Lost {
  readonly reason: LostReason;
  /** Ids of the last event before the gap, and of the last one in it. */
  readonly from: string;
  readonly to: string;
  /** undefined where it is unknown. */
  readonly count: number | undefined;
}

/** A client's place in the feed. */
export interface Resumed {
  readonly reader: EventReader;
  /** What the client gets first. */
  readonly lost: Lost | undefined;
}

export function eventId({ epoch }: Pick<EventFeed, 'epoch'>, number: number): string {
  return `${epoch}-${number}`;
}

/** Where a client begins. Until it knows of a restart this is its old id, so that one that is cut off learns of it. */
export function beginningOf(feed: Pick<EventFeed, 'epoch'>, { reader, lost }: Resumed): string {
  return lost?.from ?? eventId(feed, reader.position);
}

/**
 * From the event after `since`; from now on without one. After a restart of the server, from its start. Throws
 * HttpProblem for a text that is no id; `name` says where it stood.
 */
export function resume(
  feed: EventFeed,
  types: ReadonlySet<NotificationType>,
  since: string | undefined,
  name: string,
): Resumed {
  if (since === undefined || since === '') return { reader: feed.reader(types, feed.last), lost: undefined };
  const [, epoch, digits] = FORM.exec(since) ?? [];
  if (epoch === undefined) {
    const message = `${name}: invalid event id "${since.slice(0, MAX_SHOWN_CHARS)}" (expected one such as ${eventId(feed, feed.last)})`;
    throw new HttpProblem(400, 'INPUT_INVALID', message);
  }
  const number = Number(digits);
  const lost = (reason: LostReason, to: number) => ({ reason, from: since, to: eventId(feed, to), count: undefined });
  if (epoch !== feed.epoch) return { reader: feed.reader(types, 0), lost: lost('restarted', 0) };
  if (number > feed.last) return { reader: feed.reader(types, feed.last), lost: lost('ahead', feed.last) };
  return { reader: feed.reader(types, number), lost: undefined };
}
