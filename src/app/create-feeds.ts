// What this node keeps of its events, from the settings.
import { randomInt } from 'node:crypto';
import type { NotificationStream } from '../domain/notification.ts';
import type { Settings } from '../settings/load.ts';
import { EventLog } from '../watch/event-log.ts';
import type { Core } from './core.ts';

/** Two starts in the same millisecond differ too. */
const EPOCH_SUFFIXES = 36 ** 3;

export function createEventLog(
  settings: Settings,
  { clock, metrics, notifications: stream }: Core & { readonly notifications: NotificationStream },
): EventLog {
  const epoch = `${clock.now().toString(36)}${randomInt(EPOCH_SUFFIXES).toString(36).padStart(3, '0')}`;
  return new EventLog(
    { stream, metrics, epoch },
    { maxEvents: settings.p2p_events_kept, maxBytes: settings.p2p_events_kept_bytes },
  );
}
