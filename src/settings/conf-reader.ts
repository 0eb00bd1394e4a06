// Reads `settings.conf` files as the Teranode services do: dotted contexts, `${NAME}`, and the environment, which takes
// precedence. Every value keeps its origin, so that operators see where it came from.
import { readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';

/** Later files override earlier ones for the same key and context. */
const FILES = ['settings.conf', 'settings_local.conf'] as const;
const MAX_FILE_BYTES = 4 * 1024 * 1024;
const MAX_DEPTH = 20;
const MAX_VALUE_CHARS = 65_536;

interface Entry {
  readonly value: string;
  /** `settings.conf:12`. */
  readonly place: string;
}

/** A value and its origin, such as `settings.conf:12 p2p_port.dev` or `environment p2p_port`. */
export interface Resolved {
  readonly value: string;
  readonly origin: string;
}

/** A value that cannot be resolved, and why. */
export interface Unresolved {
  readonly problem: string;
  readonly origin: string;
}

/** A settings file that exists but cannot be read. */
export interface UnreadableFile {
  readonly name: string;
  readonly path: string;
  readonly reason: string;
}

export class ConfReader {
  readonly unreadable: readonly UnreadableFile[];
  private readonly entries: ReadonlyMap<string, Entry>;
  private readonly env: Readonly<Record<string, string | undefined>>;
  private readonly suffixes: readonly string[];

  constructor(
    entries: ReadonlyMap<string, Entry>,
    env: Readonly<Record<string, string | undefined>>,
    context: string,
    unreadable: readonly UnreadableFile[] = [],
  ) {
    this.unreadable = unreadable;
    this.entries = entries;
    this.env = env;
    this.suffixes = contextSuffixes(context);
  }

  /**
   * Reads the settings files of a folder. A missing file counts as empty; one that cannot be read is listed in
   * `unreadable`.
   */
  static ofFolder(folder: string, env: Readonly<Record<string, string | undefined>>, context: string): ConfReader {
    const entries = new Map<string, Entry>();
    const unreadable: UnreadableFile[] = [];
    for (const name of FILES) {
      const path = join(folder, name);
      const read = readBounded(path);
      if ('reason' in read) unreadable.push({ name, path, reason: read.reason });
      else for (const [key, entry] of parseConf(read.text, name)) entries.set(key, entry);
    }
    return new ConfReader(entries, env, context, unreadable);
  }

  /**
   * The value of a key, or of another spelling of it. The most specific context wins; the environment overrides all.
   */
  resolve(key: string, otherSpellings: readonly string[] = []): Resolved | Unresolved | undefined {
    const found = this.find([key, ...otherSpellings]);
    return found === undefined ? undefined : this.interpolated(found.value, found.origin, [found.key]);
  }

  /** Keys that have a value, not an empty one, in this context or in the environment. */
  keys(): string[] {
    const keys = new Set(Object.keys(this.env));
    for (const entry of this.entries.keys()) {
      const key = entry.split('.', 1)[0] ?? '';
      if (this.suffixes.includes(entry.slice(key.length))) keys.add(key);
    }
    return [...keys].filter((key) => (this.find([key])?.value ?? '') !== '');
  }

  /** Names that the files refer to as `${NAME}`. */
  references(): ReadonlySet<string> {
    const values = [...this.entries.values()].map(({ value }) => value);
    return new Set(
      values.flatMap((value) => [...value.matchAll(/\$\{([^}]*)\}/g)].map(([, name = '']) => name.trim())),
    );
  }

  /** Every context that a key of the files names, in their order, such as `docker.host`. */
  contexts(): ReadonlySet<string> {
    const names = [...this.entries.keys()].map((entry) => entry.slice(entry.indexOf('.') + 1 || entry.length));
    return new Set(names.filter((name) => name !== ''));
  }

  /** Whether a key of the files names this context or one above it. */
  knowsContext(): boolean {
    const known = this.contexts();
    return this.suffixes.some((suffix) => suffix !== '' && known.has(suffix.slice(1)));
  }

  private find(
    spellings: readonly string[],
  ): { readonly key: string; readonly value: string; readonly origin: string } | undefined {
    for (const key of spellings) {
      // Not `toString`, which every object has.
      const value = Object.hasOwn(this.env, key) ? this.env[key] : undefined;
      if (value !== undefined) return { key, value, origin: `environment ${key}` };
    }
    for (const suffix of this.suffixes) {
      for (const key of spellings) {
        const entry = this.entries.get(key + suffix);
        if (entry !== undefined) return { key, value: entry.value, origin: `${entry.place} ${key}${suffix}` };
      }
    }
    return undefined;
  }

  private interpolated(text: string, origin: string, chain: readonly string[]): Resolved | Unresolved {
    let problem: string | undefined;
    const value = text.replace(/\$\{([^}]*)\}/g, (_whole, name: string) => {
      const inner = this.reference(name.trim(), chain);
      if ('problem' in inner) {
        problem ??= inner.problem;
        return '';
      }
      return inner.value;
    });
    if (problem === undefined && value.length > MAX_VALUE_CHARS)
      problem = `too long (limit ${MAX_VALUE_CHARS} characters)`;
    return problem === undefined ? { value, origin } : { problem, origin };
  }

  private reference(name: string, chain: readonly string[]): Resolved | Unresolved {
    const path = [...chain, name].join(' -> ');
    if (chain.includes(name)) return { problem: `circular reference: ${path}`, origin: '' };
    if (chain.length >= MAX_DEPTH) return { problem: `more than ${MAX_DEPTH} nested references: ${path}`, origin: '' };
    const found = this.find([name]);
    if (found === undefined) {
      const problem = `unknown name \${${name}} (${path}): define ${name} in a settings file or in the environment`;
      return { problem, origin: '' };
    }
    return this.interpolated(found.value, found.origin, [...chain, name]);
  }
}

/** `docker.host` -> `.docker.host`, `.docker`, ``. */
function contextSuffixes(context: string): string[] {
  const parts = context.split('.').filter((part) => part !== '');
  const suffixes = parts.map((_part, i) => `.${parts.slice(0, parts.length - i).join('.')}`);
  return [...suffixes, ''];
}

/** Parses lines `key = value`. `#` starts a comment anywhere; values may be in double quotes. */
export function parseConf(text: string, fileName: string): Map<string, Entry> {
  const entries = new Map<string, Entry>();
  for (const [index, line] of text.split(/\r?\n/).entries()) {
    const bare = line.split('#', 1)[0] ?? '';
    const at = bare.indexOf('=');
    if (at < 0) continue;
    const key = bare.slice(0, at).trim();
    if (key !== '') entries.set(key, { value: unquoted(bare.slice(at + 1).trim()), place: `${fileName}:${index + 1}` });
  }
  return entries;
}

function unquoted(value: string): string {
  return value.length >= 2 && value.startsWith('"') && value.endsWith('"') ? value.slice(1, -1) : value;
}

function readBounded(file: string): { readonly text: string } | { readonly reason: string } {
  try {
    const stats = statSync(file);
    if (!stats.isFile()) return { reason: 'not a regular file' };
    if (stats.size > MAX_FILE_BYTES) return { reason: `larger than ${MAX_FILE_BYTES} bytes` };
    return { text: readFileSync(file, 'utf8') };
  } catch (error) {
    const code = error instanceof Error && 'code' in error ? String(error.code) : '';
    return code === 'ENOENT' ? { text: '' } : { reason: `cannot be read (${code})` };
  }
}
