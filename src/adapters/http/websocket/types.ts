// `?types=`: what a WebSocket client wants to see. Few types, so that few distinct wishes exist and clients with the same one share their bytes.
import type { Notification } from '../../../domain/notification.ts';

export type NotificationType = Notification['type'];

export interface Wish {
  /** The same for the same wish. */
  readonly key: string;
  readonly types: ReadonlySet<NotificationType>;
  /** Wants to be told how many frames it did not get, and stays connected then. */
  readonly wantsLost: boolean;
}

/** What Go sends, and whoever does not ask gets. */
const DEFAULT_TYPES: readonly NotificationType[] = ['block', 'subtree', 'mining_on', 'node_status'];
const ALL_TYPES: readonly NotificationType[] = [...DEFAULT_TYPES, 'rejected_tx', 'best_block'];
const LOST = 'lost';
/** What may stand in `?types=`. */
export const TYPE_NAMES: readonly string[] = [...ALL_TYPES, LOST];

/** `block,subtree`; nothing and empty mean what Go sends. `{ unknown }` names the first that is none. */
export function parseWish(text: string | undefined): Wish | { readonly unknown: string } {
  const names = (text ?? '').split(',').filter((name) => name !== '');
  const unknown = names.find((name) => !TYPE_NAMES.includes(name));
  if (unknown !== undefined) return { unknown };
  const types = names.length === 0 ? DEFAULT_TYPES : ALL_TYPES.filter((type) => names.includes(type));
  return { key: types.join(','), types: new Set(types), wantsLost: names.includes(LOST) };
}
