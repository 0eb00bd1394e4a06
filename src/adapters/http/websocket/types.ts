// `?types=`: the subscription filter of a client. There are few types, hence few distinct filters, and
// clients with the same filter share their bytes.
import { NOTIFICATION_TYPES, type NotificationType } from '../../../domain/notification.ts';
import type { WireName } from '../../../wire/format.ts';
import { HttpProblem } from '../server/http-problem.ts';

export interface SubscriptionFilter {
  /** Equal for equal filters. */
  readonly key: string;
  readonly types: ReadonlySet<NotificationType>;
  /** Receives a `lost` frame with the number of frames that it missed, and stays connected. */
  readonly wantsLost: boolean;
}

/** The types that the Go service sends. */
const TYPES_OF: { readonly [W in WireName]: readonly NotificationType[] } = {
  'go-p2p': ['block', 'subtree', 'mining_on', 'node_status'],
  'message-bus': ['block', 'subtree', 'node_status'],
};
const LOST = 'lost';
const MAX_SHOWN_CHARS = 50;
/** Values of `?types=`. */
export const TYPE_NAMES: readonly string[] = [...NOTIFICATION_TYPES, LOST];

/** The types that the Go services of the wires in force send. */
export function defaultTypes(wires: readonly WireName[]): readonly NotificationType[] {
  return NOTIFICATION_TYPES.filter((type) => wires.some((wire) => TYPES_OF[wire].includes(type)));
}

/** Parses `block,subtree`; absent and empty mean the default. `{ unknown }` is the first name that is no type. */
export function parseFilter(
  given: string | readonly string[] | undefined,
  ofDefault: readonly NotificationType[],
): SubscriptionFilter | { readonly unknown: string } {
  const names = [given ?? []]
    .flat()
    .flatMap((text) => text.split(','))
    .filter((name) => name !== '');
  const unknown = names.find((name) => !TYPE_NAMES.includes(name));
  if (unknown !== undefined) return { unknown };
  const types = names.length === 0 ? ofDefault : NOTIFICATION_TYPES.filter((type) => names.includes(type));
  return { key: types.join(','), types: new Set(types), wantsLost: names.includes(LOST) };
}

export function unknownType(name: string): HttpProblem {
  const given = name.slice(0, MAX_SHOWN_CHARS);
  const message = `query/types: invalid type "${given}" (expected ${TYPE_NAMES.join(', ')})`;
  return new HttpProblem(400, 'INPUT_INVALID', message);
}
