// All settings by key, spelled as in the specification.
import type { Row, ValueOf } from './row.ts';
import { BUS_SETTINGS } from './schema-bus.ts';
import { P2P_SETTINGS } from './schema-p2p.ts';
import { SERVICE_SETTINGS } from './schema-services.ts';

export const SETTINGS = { ...P2P_SETTINGS, ...BUS_SETTINGS, ...SERVICE_SETTINGS };

export type SettingKey = keyof typeof SETTINGS;

/** Every setting with its effective value: durations in ms, lists as arrays, undefined when unset. */
export type Settings = { readonly [K in SettingKey]: ValueOf<(typeof SETTINGS)[K]> };

/** All rows in the order of the schema, without their types. */
export const ROWS = Object.entries(SETTINGS) as [SettingKey, Row<unknown, unknown>][];
