// Settings from files and environment to typed values. Whatever is missing or wrong is told at once, each with where it came from and what
// would be right.
import { P2PError } from '../errors.ts';
import { ConfReader } from './conf-reader.ts';
import { crossChecks } from './cross-checks.ts';
import type { Row } from './row.ts';
import { ROWS, type SettingKey, type Settings } from './schema.ts';

export type { Settings } from './schema.ts';

export interface SettingSources {
  /** Holds settings.conf and settings_local.conf. */
  readonly folder: string;
  readonly env: Readonly<Record<string, string | undefined>>;
  /** Default: SETTINGS_CONTEXT of the environment, else `dev`. */
  readonly context?: string;
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

const MASK = '********';

/** Throws SETTINGS_INVALID with all problems, SETTINGS_FILE_UNREADABLE. */
export function loadSettings(sources: SettingSources): LoadedSettings {
  const context = sources.context ?? sources.env.SETTINGS_CONTEXT ?? 'dev';
  const reader = ConfReader.ofFolder(sources.folder, sources.env, context);
  const problems: SettingProblem[] = [];
  const values: Record<string, unknown> = {};
  const effective = ROWS.map(([key, row]) => {
    const read = readSetting(reader, key, row, context, problems);
    values[key] = read.value;
    return { key, shown: shown(row, read.value), origin: read.origin };
  });
  const settings = values as Settings;
  if (problems.length === 0) {
    const origins = new Map(effective.map((each) => [each.key, each] as const));
    problems.push(
      ...crossChecks(settings).map(({ key, wouldBeRight }) => ({
        key,
        value: origins.get(key)?.shown ?? '',
        origin: origins.get(key)?.origin ?? 'unset',
        wouldBeRight,
      })),
    );
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
    if (row.isRequired) {
      const origin = found === undefined ? `not found in context ${context}` : found.origin;
      problems.push({ key, value: '', origin, wouldBeRight: `required: ${row.type.expects}` });
    }
    return absent;
  }
  const value = row.type.parse(found.value);
  if (value === undefined) {
    problems.push({
      key,
      value: row.isSecret ? MASK : found.value.slice(0, 200),
      origin: found.origin,
      wouldBeRight: row.type.expects,
    });
    return absent;
  }
  return { value, origin: found.origin };
}

function shown(row: Row<unknown, unknown>, value: unknown): string {
  if (value === undefined) return '';
  return row.isSecret ? masked(row.type.format(value)) : row.type.format(value);
}

/** A secret, or the password within a URL. */
function masked(text: string): string {
  if (!text.includes('://')) return MASK;
  return text.replace(/\/\/([^/@:]*):[^@]*@/, `//$1:${MASK}@`);
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
