// An event as JSON: the same fields on both wires, named as in the rest of the API.
import type { NumberedEvent } from '../../../domain/event-feed.ts';
import { shownTexts } from '../../../lib/shown-text.ts';
import type { Lost } from './event-id.ts';

/** 64-bit integers become numbers, bytes hex. One line. */
export function eventJson(id: string, { notification }: NumberedEvent): string {
  return JSON.stringify({ id, ...shownTexts(notification) }, (_name, value: unknown) => {
    if (typeof value === 'bigint') return Number(value);
    return value instanceof Uint8Array ? Buffer.from(value).toString('hex') : value;
  });
}

export function lostJson({ reason, from, to, count }: Lost): string {
  return JSON.stringify({ type: 'lost', reason, from, to, count });
}
