// Loads settings from files and the environment as typed values. All problems are reported at once, each with its
// origin and what is expected.

import { nearestName } from '../lib/edit-distance.ts';
import { P2PError } from '../lib/errors.ts';
import { MASK, withoutAnyPassword, withoutPasswords } from '../lib/masking.ts';
import { ConfReader } from './conf-reader.ts';
import { crossChecks } from './cross-checks.ts';
import { fileChecks } from './file-checks.ts';
import type { Row } from './row.ts';
import { ROWS, type SettingKey, type Settings } from './schema.ts';
import { type SettingNotices, settingNotices } from './without-effect.ts';

export type { Settings } from './schema.ts';

export interface SettingSources {
  /** Folder of settings.conf and settings_local.conf; undefined: no files are read. */
  readonly folder: string | undefined;
  readonly env: Readonly<Record<string, string | undefined>>;
  /** Default: SETTINGS_CONTEXT from the environment, else `dev`. Empty: none. Any but `dev` must be named by a key. */
  readonly context?: string;
  /** Also checks the files that settings name, for a node that is about to start here. Default: false. */
  readonly checksFiles?: boolean;
}

/** A setting in force. */
export interface EffectiveSetting {
  readonly key: SettingKey;
  /** Masked when secret; empty when unset. */
  readonly shown: string;
  /** `default`, `unset`, `environment p2p_port`, `settings.conf:12 p2p_port.dev`. */
  readonly origin: string;
}

export interface SettingProblem {
  readonly key: string;
  /** Masked when secret. */
  readonly value: string;
  readonly origin: string;
  readonly expected: string;
}

export interface LoadedSettings {
  readonly settings: Settings;
  readonly effective: readonly EffectiveSetting[];
  readonly context: string;
  readonly notices: SettingNotices;
}

const DEFAULT_CONTEXT = 'dev';
const MAX_CONTEXTS_SHOWN = 12;

/** Throws SETTINGS_INVALID with all problems. */
export function loadSettings(sources: SettingSources): LoadedSettings {
  const context = sources.context ?? (sources.env.SETTINGS_CONTEXT || DEFAULT_CONTEXT);
  const { folder, env } = sources;
  const reader =
    folder === undefined ? new ConfReader(new Map(), env, context) : ConfReader.ofFolder(folder, env, context);
  const problems: SettingProblem[] = reader.unreadable.map(({ name, path, reason }) => ({
    key: name,
    value: path,
    origin: 'file',
    expected: `a readable text file, or none (${reason})`,
  }));
  if (context !== '' && context !== DEFAULT_CONTEXT && !reader.knowsContext())
    problems.push(unknownContext(reader, context, sources));
  const values: Record<string, unknown> = {};
  const effective = ROWS.map(([key, row]) => {
    const read = readSetting(reader, key, row, context, problems);
    values[key] = read.value;
    return { key, shown: shown(row, read.value), origin: read.origin };
  });
  const settings = values as Settings;
  const wrong = new Set(problems.map(({ key }) => key));
  const isValid = (key: SettingKey) => !wrong.has(key);
  const breaches = crossChecks(settings, isValid);
  if (sources.checksFiles === true) breaches.push(...fileChecks(settings, isValid));
  const known = new Map(effective.map((each) => [each.key, each] as const));
  for (const { key, expected } of breaches) {
    const { shown: value = '', origin = 'unset' } = known.get(key) ?? {};
    problems.push({ key, value, origin, expected });
  }
  if (problems.length > 0) throw refusal(problems, context);
  return { settings, effective, context, notices: settingNotices(reader, settings) };
}

/** Under a context that no key names, every setting would have the value for all contexts: a public node, for example. */
function unknownContext(reader: ConfReader, context: string, { folder, context: option }: SettingSources) {
  const known = reader.contexts();
  const nearest = nearestName(context, known, Math.max(1, Math.floor(context.length / 3)));
  const first = new Set([...known, DEFAULT_CONTEXT].map((name) => name.split('.', 1)[0] ?? ''));
  const names = [...first].slice(0, MAX_CONTEXTS_SHOWN).join(', ');
  const hint = nearest === undefined ? '' : `; did you mean ${nearest}?`;
  return {
    key: 'SETTINGS_CONTEXT',
    value: context.slice(0, 200),
    origin: option === undefined ? 'environment SETTINGS_CONTEXT' : 'option',
    expected: `context that a key of the settings files in ${folder} names (${names}), or one below it${hint}`,
  };
}

function readSetting(
  reader: ConfReader,
  key: SettingKey,
  row: Row<unknown, unknown>,
  context: string,
  problems: SettingProblem[],
): { value: unknown; origin: string } {
  const absent = { value: row.default, origin: row.default === undefined ? 'unset' : 'default' };
  const found = reader.resolve(key, row.also);
  if (found !== undefined && 'problem' in found) {
    problems.push({
      key,
      value: '',
      origin: found.origin,
      expected: `${row.type.expects} (${found.problem})`,
    });
    return absent;
  }
  const isAbsent =
    found === undefined || (found.value === '' && (row.type.keepsEmpty !== true || row.default === undefined));
  if (isAbsent) {
    if (!row.isRequired) return absent;
    const inferred = inferredSetting(reader, row);
    if (inferred !== undefined && 'value' in inferred) return inferred;
    const origin = found === undefined ? `not found in context ${context}` : found.origin;
    const reasons = [`${row.type.expects} (required)`, ...(inferred === undefined ? [] : [inferred.reason])];
    problems.push({ key, value: '', origin, expected: reasons.join('; ') });
    return absent;
  }
  const value = row.type.parse(found.value);
  if (value === undefined) {
    problems.push({
      key,
      // A password cannot be found in a malformed value, so a secret is masked as a whole.
      value: row.isSecret ? MASK : withoutAnyPassword(found.value).slice(0, 200),
      origin: found.origin,
      expected: row.type.expects,
    });
    return absent;
  }
  return { value, origin: found.origin };
}

/** The value inferred from another setting; undefined when that is missing or invalid. */
function inferredSetting(
  reader: ConfReader,
  { inference, type }: Row<unknown, unknown>,
): { value: unknown; origin: string } | { reason: string } | undefined {
  if (inference === undefined) return undefined;
  const source = reader.resolve(inference.key);
  if (source === undefined || 'problem' in source || source.value === '') return undefined;
  const part = inference.part(source.value);
  const value = type.parse(part);
  const what = `${inference.what} of ${inference.key}`;
  if (value !== undefined) return { value, origin: `${what}, ${source.origin}` };
  return { reason: `${what}, "${part.slice(0, 200)}", is not one of them` };
}

/** For secrets, only what their type allows to show; for others, everything except passwords in URLs. */
function shown(row: Row<unknown, unknown>, value: unknown): string {
  if (value === undefined) return '';
  const text = row.type.format(value);
  return row.isSecret ? (row.type.masked?.(text) ?? MASK) : withoutPasswords(text);
}

function refusal(problems: readonly SettingProblem[], context: string): P2PError {
  const lines = problems.map(
    ({ key, value, origin, expected }) =>
      `  ${key} = ${value === '' ? '(unset)' : value}   [${origin}]\n      expected: ${expected}`,
  );
  const count = problems.length === 1 ? '1 setting is' : `${problems.length} settings are`;
  return new P2PError('SETTINGS_INVALID', `${count} missing or invalid in context ${context}:\n${lines.join('\n')}`, {
    details: { problems },
  });
}
