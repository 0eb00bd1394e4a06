// A row of the settings schema. The schema is data: the loader, the printed table and docs/settings.md are generated
// from it.
import type { SettingType } from './types.ts';

export interface Row<T, D extends T | undefined> {
  readonly type: SettingType<T>;
  readonly default: D;
  /** Description in plain English. */
  readonly doc: string;
  /** Other accepted spellings of the key. */
  readonly also: readonly string[];
  readonly isRequired: boolean;
  /** Where a required setting is taken from when it is absent. */
  readonly inference: Inference | undefined;
  readonly isSecret: boolean;
  /** Defined by this project, unknown to the Go service. */
  readonly isOurs: boolean;
}

/** Another setting from which the value follows. */
export interface Inference {
  readonly key: string;
  readonly part: (text: string) => string;
  /** The part in words. */
  readonly what: string;
}

interface Marks {
  readonly also?: readonly string[];
  readonly isSecret?: true;
  readonly isOurs?: true;
  readonly inference?: Inference;
}

function row<T, D extends T | undefined>(
  type: SettingType<T>,
  value: D,
  doc: string,
  isRequired: boolean,
  marks: Marks,
): Row<T, D> {
  return {
    type,
    default: value,
    doc,
    isRequired,
    also: marks.also ?? [],
    isSecret: marks.isSecret ?? false,
    isOurs: marks.isOurs ?? false,
    inference: marks.inference,
  };
}

/** A setting with a default. */
export function setting<T>(type: SettingType<T>, value: NoInfer<T>, doc: string, marks: Marks = {}): Row<T, T> {
  return row<T, T>(type, value, doc, false, marks);
}

/** A setting that may be unset. */
export function optional<T>(type: SettingType<T>, doc: string, marks: Marks = {}): Row<T, undefined> {
  return row<T, undefined>(type, undefined, doc, false, marks);
}

/** A required setting; its value is never undefined once loaded. */
export function required<T>(type: SettingType<T>, doc: string, marks: Marks = {}): Row<T, T> {
  return row<T, T>(type, undefined as T, doc, true, marks);
}

/** The value of a row once loaded. */
export type ValueOf<R> = R extends Row<infer T, infer D> ? (undefined extends D ? T | undefined : T) : never;
