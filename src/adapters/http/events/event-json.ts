// An event as JSON: the same fields on both wires, named as in the rest of the API.
import type { NumberedEvent } from '../../../domain/event-feed.ts';
import { shownTexts } from '../../../lib/shown-text.ts';
import type { Lost } from './event-id.ts';

/** 64-bit integers become numbers, bytes hex. One line. */
export function eventJson(id: string, { notification }: NumberedEvent): string {
  const fields: object = { id, ...shownTexts(notification) };
  return JSON.stringify(fields, function (this: Readonly<Record<string, unknown>>, name, value: unknown) {
    if (typeof value === 'bigint') return Number(value);
    // `value` is no longer the bytes where they are a Buffer, which has a toJSON of its own.
    const given = this[name];
    return given instanceof Uint8Array ? Buffer.from(given).toString('hex') : value;
  });
}

export function lostJson({ reason, from, to, count }: Lost): string {
  return JSON.stringify({ type: 'lost', reason, from, to, count });
}
