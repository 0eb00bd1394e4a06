// `?types=`: the subscription filter of a WebSocket client. There are few types, hence few distinct filters, and
// clients with the same filter share their bytes.
import type { Notification } from '../../../domain/notification.ts';

export type NotificationType = Notification['type'];

export interface SubscriptionFilter {
  /** Equal for equal filters. */
  readonly key: string;
  readonly types: ReadonlySet<NotificationType>;
  /** Receives a `lost` frame with the number of frames that it missed, and stays connected. */
  readonly wantsLost: boolean;
}

/** The types that the Go service sends; the default. */
const DEFAULT_TYPES: readonly NotificationType[] = ['block', 'subtree', 'mining_on', 'node_status'];
const ALL_TYPES: readonly NotificationType[] = [...DEFAULT_TYPES, 'rejected_tx', 'best_block'];
const LOST = 'lost';
/** Values of `?types=`. */
export const TYPE_NAMES: readonly string[] = [...ALL_TYPES, LOST];

/** Parses `block,subtree`; absent and empty mean the default. `{ unknown }` is the first name that is no type. */
export function parseFilter(text: string | undefined): SubscriptionFilter | { readonly unknown: string } {
  const names = (text ?? '').split(',').filter((name) => name !== '');
  const unknown = names.find((name) => !TYPE_NAMES.includes(name));
  if (unknown !== undefined) return { unknown };
  const types = names.length === 0 ? DEFAULT_TYPES : ALL_TYPES.filter((type) => names.includes(type));
  return { key: types.join(','), types: new Set(types), wantsLost: names.includes(LOST) };
}
