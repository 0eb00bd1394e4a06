// Frames of WebSocket clients that ask for ids: those of the wire in force, with the id of the event as last field.
import type { WireName } from '../../../wire/format.ts';
import { encodeGapFrame, encodeNotificationFrame } from '../../../wire/notification-frame.ts';
import type { FeedFormat } from '../events/event-reading.ts';
import { textFrame } from './frame.ts';

export function feedFrames(order: WireName): FeedFormat {
  return {
    event: (id, { notification }) => textFrame(withId(encodeNotificationFrame(notification, order), id)),
    lost: (id, gap) => textFrame(withId(encodeGapFrame(gap), id)),
  };
}

/** A JSON object with a field more. */
export function withId(object: Uint8Array, id: string): Buffer {
  return Buffer.concat([object.subarray(0, -1), Buffer.from(`,"id":"${id}"}`)]);
}
