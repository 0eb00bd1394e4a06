// Frames of notifications. For WebSocket clients that ask for ids they have the id of the event as last field.
import type { Notification } from '../../../domain/notification.ts';
import type { WireName } from '../../../wire/format.ts';
import { encodeChainFrame, encodeGapFrame, encodeNotificationFrame } from '../../../wire/notification-frame.ts';
import type { FeedFormat } from '../events/event-reading.ts';
import { textFrame } from './frame.ts';

export function feedFrames(order: WireName): FeedFormat {
  return {
    event: (id, { notification }) => textFrame(withId(encodeFrame(notification, order), id)),
    lost: (id, gap) => textFrame(withId(encodeGapFrame(gap), id)),
  };
}

/** A JSON object with a field more. */
export function withId(object: Uint8Array, id: string): Buffer {
  return Buffer.concat([object.subarray(0, -1), Buffer.from(`,"id":"${id}"}`)]);
}

export function encodeFrame(notification: Notification, order: WireName): Uint8Array {
  const { type, atMs } = notification;
  if (type === 'tip' || type === 'reorg') return encodeChainFrame(notification, atMs);
  return encodeNotificationFrame(notification, order);
}
