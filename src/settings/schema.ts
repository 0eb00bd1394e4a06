// All settings, by key. Keys are spelled as the specification spells them.
import type { Row, ValueOf } from './row.ts';
import { P2P_SETTINGS } from './schema-p2p.ts';
import { SERVICE_SETTINGS } from './schema-services.ts';

export const SETTINGS = { ...P2P_SETTINGS, ...SERVICE_SETTINGS };

export type SettingKey = keyof typeof SETTINGS;

/** Every setting with its effective value: durations in ms, lists as arrays, undefined where nothing is set. */
export type Settings = { readonly [K in SettingKey]: ValueOf<(typeof SETTINGS)[K]> };

/** The rows in the order of the schema, with their types erased. */
export const ROWS = Object.entries(SETTINGS) as [SettingKey, Row<unknown, unknown>][];
