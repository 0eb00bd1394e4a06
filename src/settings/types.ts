// The types a setting can have: what text is right, what value it becomes, how it is written down.
import { isIP, isIPv4, isIPv6 } from 'node:net';
import { multiaddr } from '@multiformats/multiaddr';
import { P2PError } from '../lib/errors.ts';
import { parsePeerId } from '../wire/peer-id.ts';
import { formatDuration, parseDuration } from './duration.ts';
import { parseKafkaUrl } from './kafka-url.ts';
import { isKeyPair } from './key-pair.ts';
import { withoutPasswords } from './masking.ts';

export interface SettingType<T> {
  /** What would be right, for a person. */
  readonly expects: string;
  /** undefined when the text is wrong. */
  parse(text: string): T | undefined;
  /** The text of a value. */
  format(value: T): string;
  /** An empty text stands for itself instead of the default. */
  readonly keepsEmpty?: true;
  /** What of a secret's text may be shown; without it, nothing. */
  masked?(text: string): string;
}

const asIs = (value: string) => value;

export const text: SettingType<string> = { expects: 'any text', parse: asIs, format: asIs, keepsEmpty: true };

export function matching(expects: string, form: RegExp): SettingType<string> {
  return { expects, parse: (value) => (form.test(value) ? value : undefined), format: asIs };
}

export function integer(min: number, max: number): SettingType<number> {
  return {
    expects: `a whole number from ${min} to ${max}`,
    parse: (value) =>
      /^[+-]?\d{1,15}$/.test(value) && Number(value) >= min && Number(value) <= max ? Number(value) : undefined,
    format: String,
  };
}

export const port = integer(0, 65_535);

const TRUE = new Set(['1', 't', 'T', 'true', 'TRUE', 'True']);
const FALSE = new Set(['0', 'f', 'F', 'false', 'FALSE', 'False']);

/** As Go's strconv.ParseBool. */
export const boolean: SettingType<boolean> = {
  expects: 'true or false',
  parse: (value) => (TRUE.has(value) ? true : FALSE.has(value) ? false : undefined),
  format: String,
};

/** setTimeout and setInterval take more for 1 ms. */
const MAX_TIMER_MS = 2 ** 31 - 1;
/** A hundred years of 365 days: ends of bans stay within what a date can be. */
const MAX_LENGTH_MS = 876_000 * 3_600_000;

/** Milliseconds within bounds, both included. */
function durationWithin(minMs: number, maxMs: number): SettingType<number> {
  return {
    expects: `a duration from ${formatDuration(minMs)} to ${formatDuration(maxMs)}, such as 250ms, 30s, 1m30s or 24h`,
    parse: (value) => {
      const ms = parseDuration(value);
      return ms === undefined || ms < minMs || ms > maxMs ? undefined : ms;
    },
    format: formatDuration,
  };
}

/** What a timer repeats or waits for, in ms. */
export const interval = durationWithin(1, MAX_TIMER_MS);
/** What a timer waits for at most, in ms; 0 does not wait. */
export const waiting = durationWithin(0, MAX_TIMER_MS);
/** How long something is kept or lasts, in ms. */
export const lifetime = durationWithin(1000, MAX_LENGTH_MS);
/** An age that is compared with, in ms; 0 is none. */
export const age = durationWithin(0, MAX_LENGTH_MS);

export function oneOf<const V extends readonly string[]>(...values: V): SettingType<V[number]> {
  return {
    expects: values.map((value) => (value === '' ? 'empty' : value)).join(' or '),
    parse: (value) => values.find((each) => each.toLowerCase() === value.toLowerCase()),
    format: asIs,
  };
}

/** One of some words, or what another type takes. */
export function oneOfOr(other: SettingType<string>, ...words: readonly string[]): SettingType<string> {
  return {
    expects: `${words.join(' or ')} or ${other.expects}`,
    parse: (value) => (words.includes(value) ? value : other.parse(value)),
    format: asIs,
  };
}

/** A list whose empty text means that there is none, not the default. */
export function listOrNone<T extends string>(item: SettingType<T>): SettingType<readonly T[]> {
  return { ...listOf(item), keepsEmpty: true };
}

/** Items separated by `|`. */
export function listOf<T extends string>(item: SettingType<T>): SettingType<readonly T[]> {
  return {
    expects: `a list separated by |, each ${item.expects}`,
    parse: (value) => {
      const items = value
        .split('|')
        .map((each) => each.trim())
        .filter((each) => each !== '');
      const parsed = items.flatMap((each) => item.parse(each) ?? []);
      return parsed.length === items.length ? parsed : undefined;
    },
    format: (value) => value.join(' | '),
  };
}

export const ip: SettingType<string> = {
  expects: 'an IPv4 or IPv6 address',
  parse: (value) => (isIP(value.replace(/^\[(.*)\]$/, '$1')) === 0 ? undefined : value),
  format: asIs,
};

/** `host:port`, `:port` (all interfaces); port 0 takes a free one. */
export const listenAddress: SettingType<string> = {
  expects: 'host:port or :port',
  parse: (value) => {
    const match = /^(\[[0-9a-fA-F:.]+\]|[A-Za-z0-9._-]*):(\d{1,5})$/.exec(value);
    return match !== null && Number(match[2]) <= 65_535 ? value : undefined;
  },
  format: asIs,
};

/** What a client dials: `host:port`, `k8s:///name:port`, or an http URL. */
export const dialAddress: SettingType<string> = {
  expects: 'host:port, k8s:///name:port or an http URL with a port',
  parse: (value) => {
    const match = /^(?:k8s:\/\/\/|https?:\/\/)?(?:\[[0-9a-fA-F:.]+\]|[A-Za-z0-9._-]+):(\d{1,5})$/.exec(value);
    return match !== null && isPort(match[1]) ? value : undefined;
  },
  format: asIs,
};

/** `host` or `host:port`; an IPv6 address with a port stands in brackets. */
export const advertised: SettingType<string> = {
  expects: 'an IP address or a domain name, with or without a port from 1 to 65535',
  parse: (value) => {
    if (isIPv6(value)) return value;
    const [, bracketed, name = '', port = '1'] = /^(?:\[([^\]]+)\]|([^:]+))(?::(\d{1,5}))?$/.exec(value) ?? [];
    const isHost = bracketed === undefined ? isIPv4(name) || isDomainName(name) : isIPv6(bracketed);
    return isHost && isPort(port) ? value : undefined;
  },
  format: asIs,
};

function isPort(text: string | undefined): boolean {
  return Number(text) >= 1 && Number(text) <= 65_535;
}

/** Digits and dots alone would be an IP address that is none. */
function isDomainName(text: string): boolean {
  return /^[A-Za-z0-9_](?:[A-Za-z0-9._-]{0,251}[A-Za-z0-9_.])?$/.test(text) && !/^[\d.]+$/.test(text);
}

export const httpUrl: SettingType<string> = {
  expects: 'an http or https URL',
  parse: (value) => (/^https?:\/\//.test(value) && URL.canParse(value) ? value : undefined),
  format: asIs,
};

/** A multiaddr that leads over TCP, or to where DNS says, and ends with a peer id. */
export const peerMultiaddr: SettingType<string> = {
  expects: 'a multiaddr with a peer id, such as /ip4/1.2.3.4/tcp/9905/p2p/12D3Koo…',
  parse: (value) => {
    try {
      // By way of its bytes: only they are wholly checked, and there is one text for each.
      const address = multiaddr(multiaddr(value).bytes);
      const components = address.getComponents();
      const leads = components.some(({ name }) => name === 'tcp' || name === 'dnsaddr');
      const last = components.at(-1);
      return leads && last?.name === 'p2p' && parsePeerId(last.value ?? '') !== undefined
        ? address.toString()
        : undefined;
    } catch {
      return undefined;
    }
  },
  format: asIs,
};

export const peerId: SettingType<string> = {
  expects: 'a peer id such as 12D3Koo…',
  parse: (value) => parsePeerId(value),
  format: asIs,
};

export const kafkaUrl: SettingType<string> = {
  expects: 'kafka://host1:port,host2:port/topic?… or memory://host/topic, with parameters in their range',
  parse: (value) => {
    try {
      parseKafkaUrl(value);
      return value;
    } catch (error) {
      if (error instanceof P2PError) return undefined;
      throw error;
    }
  },
  format: asIs,
};

/** `sqlite:///name` (a file of dataFolder), `sqlitememory:///name`, `postgres://…`. */
export const storeUrl: SettingType<string> = {
  ...matching(
    'sqlite:///name, sqlitememory:///name or postgres://user:password@host:port/name',
    /^(?:sqlite:\/\/\/[A-Za-z0-9._/-]+|sqlitememory:\/\/\/[A-Za-z0-9._/-]*|postgres(?:ql)?:\/\/\S+)$/,
  ),
  masked: withoutPasswords,
};

/** Ed25519, as hex. */
export const privateKey: SettingType<string> = {
  expects: '64 or 96 bytes as hex (128 or 192 digits): an Ed25519 seed and the public key that belongs to it',
  parse: (value) => (isKeyPair(value) ? value : undefined),
  format: asIs,
};

const WELL_KNOWN_KEYS = new Set([
  'testkey',
  'dummy-admin-key',
  'admin',
  'password',
  'changeme',
  'changemechangeme',
  'test-admin-key-1',
  '0123456789abcdef',
  '1234567890123456',
]);
const MIN_ADMIN_KEY_CHARS = 16;

export const adminKey: SettingType<string> = {
  expects: `a secret of at least ${MIN_ADMIN_KEY_CHARS} characters that is none of the well-known ones`,
  parse: (value) =>
    value.length >= MIN_ADMIN_KEY_CHARS && !WELL_KNOWN_KEYS.has(value.toLowerCase()) ? value : undefined,
  format: asIs,
};
