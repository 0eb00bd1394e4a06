// Settings from files and environment to typed values. Whatever is missing or wrong is told at once, each with where it came from and what
// would be right.
import { P2PError } from '../lib/errors.ts';
import { ConfReader } from './conf-reader.ts';
import { crossChecks } from './cross-checks.ts';
import { fileChecks } from './file-checks.ts';
import { MASK, withoutPasswords } from './masking.ts';
import type { Row } from './row.ts';
import { ROWS, type SettingKey, type Settings } from './schema.ts';

export type { Settings } from './schema.ts';

export interface SettingSources {
  /** Holds settings.conf and settings_local.conf. */
  readonly folder: string;
  readonly env: Readonly<Record<string, string | undefined>>;
  /** Default: SETTINGS_CONTEXT of the environment, else `dev`. */
  readonly context?: string;
  /** Looks at the files that settings name, too: for a node that is about to start here. Default: false. */
  readonly checksFiles?: boolean;
}

/** A setting as it is in force. */
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
  readonly wouldBeRight: string;
}

export interface LoadedSettings {
  readonly settings: Settings;
  readonly effective: readonly EffectiveSetting[];
  readonly context: string;
}

/** Throws SETTINGS_INVALID with all problems. */
export function loadSettings(sources: SettingSources): LoadedSettings {
  const context = sources.context ?? sources.env.SETTINGS_CONTEXT ?? 'dev';
  const reader = ConfReader.ofFolder(sources.folder, sources.env, context);
  const problems: SettingProblem[] = reader.unreadable.map(({ name, path, reason }) => ({
    key: name,
    value: path,
    origin: 'file',
    wouldBeRight: `a readable text file, or none: ${reason}`,
  }));
  const values: Record<string, unknown> = {};
  const effective = ROWS.map(([key, row]) => {
    const read = readSetting(reader, key, row, context, problems);
    values[key] = read.value;
    return { key, shown: shown(row, read.value), origin: read.origin };
  });
  const settings = values as Settings;
  const wrong = new Set(problems.map(({ key }) => key));
  const isRight = (key: SettingKey) => !wrong.has(key);
  const breaches = crossChecks(settings, isRight);
  if (sources.checksFiles === true) breaches.push(...fileChecks(settings, isRight));
  const known = new Map(effective.map((each) => [each.key, each] as const));
  for (const { key, wouldBeRight } of breaches) {
    const { shown: value = '', origin = 'unset' } = known.get(key) ?? {};
    problems.push({ key, value, origin, wouldBeRight });
  }
  if (problems.length > 0) throw refusal(problems, context);
  return { settings, effective, context };
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
      wouldBeRight: `${found.problem}; expected ${row.type.expects}`,
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
    const reasons = [`required: ${row.type.expects}`, ...(inferred === undefined ? [] : [inferred.reason])];
    problems.push({ key, value: '', origin, wouldBeRight: reasons.join('; ') });
    return absent;
  }
  const value = row.type.parse(found.value);
  if (value === undefined) {
    problems.push({
      key,
      // What is wrong has no form by which a password could be found, so a secret is masked as a whole.
      value: row.isSecret ? MASK : withoutPasswords(found.value).slice(0, 200),
      origin: found.origin,
      wouldBeRight: row.type.expects,
    });
    return absent;
  }
  return { value, origin: found.origin };
}

/** From the setting that tells it; undefined where there is none, or none that can be read. */
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
  return { reason: `${what}, "${part.slice(0, 200)}", is none of these` };
}

/** A secret as far as its type knows what may be shown; of other settings all but passwords in URLs. */
function shown(row: Row<unknown, unknown>, value: unknown): string {
  if (value === undefined) return '';
  const text = row.type.format(value);
  return row.isSecret ? (row.type.masked?.(text) ?? MASK) : withoutPasswords(text);
}

function refusal(problems: readonly SettingProblem[], context: string): P2PError {
  const lines = problems.map(
    ({ key, value, origin, wouldBeRight }) =>
      `  ${key} = ${value === '' ? '(nothing)' : value}   [${origin}]\n      ${wouldBeRight}`,
  );
  const count = problems.length === 1 ? '1 setting is' : `${problems.length} settings are`;
  return new P2PError('SETTINGS_INVALID', `${count} missing or wrong in context ${context}:\n${lines.join('\n')}`, {
    details: { problems },
  });
}
