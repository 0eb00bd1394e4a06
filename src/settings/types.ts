// Types of settings: which texts are valid, which value they become, and how a value is printed.
import { isIP, isIPv4, isIPv6 } from 'node:net';
import { multiaddr } from '@multiformats/multiaddr';
import { P2PError } from '../lib/errors.ts';
import { withoutPasswords } from '../lib/masking.ts';
import { parsePeerId } from '../wire/peer-id.ts';
import { HEADER_TEXT, MAX_KEY_CHARS, MIN_ADMIN_KEY_CHARS } from './admin-key.ts';
import { formatDuration, parseDuration } from './duration.ts';
import { parseKafkaUrl } from './kafka-url.ts';
import { isKeyPair } from './key-pair.ts';

export interface SettingType<T> {
  /** Allowed values, for people. */
  readonly expects: string;
  /** undefined when the text is invalid. */
  parse(text: string): T | undefined;
  /** The text of a value. */
  format(value: T): string;
  /** An empty text is a value of its own; otherwise it means the default. */
  readonly keepsEmpty?: true;
  /** The part of a secret that may be shown; absent: none. */
  masked?(text: string): string;
}

const asIs = (value: string) => value;

export const text: SettingType<string> = { expects: 'text', parse: asIs, format: asIs, keepsEmpty: true };

export function matching(expects: string, form: RegExp): SettingType<string> {
  return { expects, parse: (value) => (form.test(value) ? value : undefined), format: asIs };
}

export function integer(min: number, max: number): SettingType<number> {
  return {
    expects: `integer from ${min} to ${max}`,
    parse: (value) =>
      /^[+-]?\d{1,16}$/.test(value) && Number(value) >= min && Number(value) <= max ? Number(value) : undefined,
    format: String,
  };
}

export const port = integer(0, 65_535);

const TRUE = new Set(['1', 't', 'T', 'true', 'TRUE', 'True']);
const FALSE = new Set(['0', 'f', 'F', 'false', 'FALSE', 'False']);

/** The same texts as strconv.ParseBool of Go. */
export const boolean: SettingType<boolean> = {
  expects: 'true or false',
  parse: (value) => (TRUE.has(value) ? true : FALSE.has(value) ? false : undefined),
  format: String,
};

/** setTimeout and setInterval treat larger values as 1 ms. */
const MAX_TIMER_MS = 2 ** 31 - 1;
/** A hundred years of 365 days, so that ends of bans are valid dates. */
const MAX_LENGTH_MS = 876_000 * 3_600_000;

/** Milliseconds; both bounds are included. */
function durationWithin(minMs: number, maxMs: number): SettingType<number> {
  return {
    expects: `duration from ${formatDuration(minMs)} to ${formatDuration(maxMs)}, such as 250ms, 30s, 1m30s or 24h`,
    parse: (value) => {
      const ms = parseDuration(value);
      return ms === undefined || ms < minMs || ms > maxMs ? undefined : ms;
    },
    format: formatDuration,
  };
}

/** Interval of a timer, in ms. */
export const interval = durationWithin(1, MAX_TIMER_MS);
/** Maximum wait of a timer, in ms; 0: no wait. */
export const waiting = durationWithin(0, MAX_TIMER_MS);
/** How long something lasts or is kept, in ms. */
export const lifetime = durationWithin(1000, MAX_LENGTH_MS);
/** An age to compare with, in ms; 0: none. */
export const age = durationWithin(0, MAX_LENGTH_MS);

export function oneOf<const V extends readonly string[]>(...values: V): SettingType<V[number]> {
  return {
    expects: values.map((value) => (value === '' ? 'empty' : value)).join(' or '),
    parse: (value) => values.find((each) => each.toLowerCase() === value.toLowerCase()),
    format: asIs,
  };
}

/** One of some words, or a value of another type. */
export function oneOfOr(other: SettingType<string>, ...words: readonly string[]): SettingType<string> {
  return {
    expects: `${words.join(' or ')} or ${other.expects}`,
    parse: (value) => (words.includes(value) ? value : other.parse(value)),
    format: asIs,
  };
}

/** A list whose empty text means an empty list, not the default. */
export function listOrNone<T extends string>(item: SettingType<T>): SettingType<readonly T[]> {
  return { ...listOf(item), keepsEmpty: true };
}

/** A list, or the word `none` for an empty one. */
export function noneOrListOf<T extends string>(item: SettingType<T>): SettingType<readonly T[]> {
  const list = listOf(item);
  return {
    expects: `none or ${list.expects}`,
    parse: (value) => (value === 'none' ? [] : list.parse(value)),
    format: (value) => (value.length === 0 ? 'none' : list.format(value)),
  };
}

/** Items separated by `|`. */
export function listOf<T extends string>(item: SettingType<T>): SettingType<readonly T[]> {
  return {
    expects: `list separated by |, each: ${item.expects}`,
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
  expects: 'IPv4 or IPv6 address',
  parse: (value) => (isIP(value.replace(/^\[(.*)\]$/, '$1')) === 0 ? undefined : value),
  format: asIs,
};

/** A range of addresses, such as 10.0.0.0/8 or ::1/128. */
export const cidr: SettingType<string> = {
  expects: 'range of IP addresses such as 10.0.0.0/8',
  parse: (value) => {
    const [address = '', bits, ...rest] = value.split('/');
    const most = isIPv4(address) ? 32 : isIPv6(address) ? 128 : -1;
    return rest.length === 0 && /^\d{1,3}$/.test(bits ?? '') && Number(bits) <= most ? value : undefined;
  },
  format: asIs,
};

/** `host:port`, or `:port` for all interfaces; port 0 picks a free port. */
export const listenAddress: SettingType<string> = {
  expects: 'host:port, or :port for all interfaces',
  parse: (value) => {
    const match = /^(\[[0-9a-fA-F:.]+\]|[A-Za-z0-9._-]*):(\d{1,5})$/.exec(value);
    return match !== null && Number(match[2]) <= 65_535 ? value : undefined;
  },
  format: asIs,
};

/** Address to dial: `host:port`, `k8s:///name:port`, or an http URL. */
export const dialAddress: SettingType<string> = {
  expects: 'host:port, k8s:///name:port or http URL with a port',
  parse: (value) => {
    const match = /^(?:k8s:\/\/\/|https?:\/\/)?(?:\[[0-9a-fA-F:.]+\]|[A-Za-z0-9._-]+):(\d{1,5})$/.exec(value);
    return match !== null && isPort(match[1]) ? value : undefined;
  },
  format: asIs,
};

/**
 * `host`, `host:port` (an IPv6 address with a port is in brackets), or a multiaddr of a TCP port, from which a peer ID
 * at its end is removed.
 */
export const advertised: SettingType<string> = {
  expects:
    'IP address or domain name, optionally with a port from 1 to 65535, or multiaddr such as /dns4/node.example/tcp/9905',
  parse: (value) => {
    if (value.startsWith('/')) return advertisedMultiaddr(value);
    if (isIPv6(value)) return value;
    const [, bracketed, name = '', port = '1'] = /^(?:\[([^\]]+)\]|([^:]+))(?::(\d{1,5}))?$/.exec(value) ?? [];
    const isHost = bracketed === undefined ? isIPv4(name) || isDomainName(name) : isIPv6(bracketed);
    return isHost && isPort(port) ? value : undefined;
  },
  format: asIs,
};

/** A node always announces its own peer ID, so one that follows says nothing new. */
function advertisedMultiaddr(value: string): string | undefined {
  try {
    const [host, transport, ...rest] = multiaddr(multiaddr(value).bytes).getComponents();
    const isName = /^dns[46]?$/.test(host?.name ?? '');
    const isHost = isName ? isDomainName(host?.value ?? '') : /^ip[46]$/.test(host?.name ?? '');
    const isTcp = transport?.name === 'tcp' && isPort(transport.value);
    const isEnd = rest.length === 0 || (rest.length === 1 && rest[0]?.name === 'p2p');
    return isHost && isTcp && isEnd ? `/${host?.name}/${host?.value}/tcp/${transport.value}` : undefined;
  } catch {
    return undefined;
  }
}

function isPort(text: string | undefined): boolean {
  return Number(text) >= 1 && Number(text) <= 65_535;
}

/** Only digits and dots: an invalid IP address. */
function isDomainName(text: string): boolean {
  return /^[A-Za-z0-9_](?:[A-Za-z0-9._-]{0,251}[A-Za-z0-9_.])?$/.test(text) && !/^[\d.]+$/.test(text);
}

/**
 * Longest URL that receivers of announcements take. Go's JSON writes six bytes for each of < > &, and a message must stay
 * below its size with two URLs.
 */
const MAX_URL_BYTES = 2048;

export const httpUrl: SettingType<string> = {
  expects: `http or https URL of at most ${MAX_URL_BYTES} bytes (< > & count as six)`,
  parse: (value) =>
    /^https?:\/\//.test(value) && URL.canParse(value) && escapedBytes(value) <= MAX_URL_BYTES ? value : undefined,
  format: asIs,
};

/** Teranode's files name collectors without a scheme. */
export const collectorUrl: SettingType<string> = {
  expects: `${httpUrl.expects}, or host:port`,
  parse: (value) => httpUrl.parse(/^[\w.-]+(:\d{1,5})?$/.test(value) ? `http://${value}` : value),
  format: asIs,
};

/** A multiaddr over TCP, or one that DNS resolves (`dnsaddr`), that ends with a peer ID. */
export const peerMultiaddr: SettingType<string> = {
  expects: 'multiaddr with a peer ID, such as /ip4/1.2.3.4/tcp/9905/p2p/12D3Koo…',
  parse: (value) => {
    try {
      // Through its bytes: only they are checked completely, and give one canonical text.
      const address = multiaddr(multiaddr(value).bytes);
      const components = address.getComponents();
      const isDialable = components.some(({ name }) => name === 'tcp' || name === 'dnsaddr');
      const last = components.at(-1);
      return isDialable && last?.name === 'p2p' && parsePeerId(last.value ?? '') !== undefined
        ? address.toString()
        : undefined;
    } catch {
      return undefined;
    }
  },
  format: asIs,
};

/** A `peerMultiaddr`, or `/dnsaddr/host` without a peer ID, which DNS resolves to several peers. */
export const bootstrapPeer: SettingType<string> = {
  expects: `${peerMultiaddr.expects}, or /dnsaddr/host`,
  parse: (value) =>
    /^\/dnsaddr\/[A-Za-z0-9_](?:[A-Za-z0-9._-]{0,251}[A-Za-z0-9_])?$/.test(value) ? value : peerMultiaddr.parse(value),
  format: asIs,
};

/** A number that is not negative, with or without decimals. */
export const decimal: SettingType<number> = {
  expects: 'number such as 0.00000001',
  parse: (value) => (/^\d{1,9}(\.\d{1,16})?$/.test(value) ? Number(value) : undefined),
  format: String,
};

/** A share of something. */
export const fraction: SettingType<number> = {
  expects: 'number from 0 to 1',
  parse: (value) => {
    const number = decimal.parse(value);
    return number === undefined || number > 1 ? undefined : number;
  },
  format: String,
};

export const peerId: SettingType<string> = {
  expects: 'peer ID such as 12D3Koo…',
  parse: (value) => parsePeerId(value),
  format: asIs,
};

export const kafkaUrl: SettingType<string> = {
  expects: 'kafka://host1:port,host2:port/topic?… or memory://host/topic, with valid parameters',
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

/** `sqlite:///name` (a file in dataFolder), `sqlitememory:///name` or `postgres://…`. */
export const storeUrl: SettingType<string> = {
  ...matching(
    'sqlite:///name, sqlitememory:///name or postgres://user:password@host:port/name',
    /^(?:sqlite:\/\/\/[A-Za-z0-9._/-]+|sqlitememory:\/\/\/[A-Za-z0-9._/-]*|postgres(?:ql)?:\/\/\S+)$/,
  ),
  masked: withoutPasswords,
};

/** An Ed25519 key pair as hex. */
export const privateKey: SettingType<string> = {
  expects:
    '64 or 96 bytes in hex (128 or 192 digits): an Ed25519 seed followed by its public key; or 08011240 and 64 such bytes',
  parse: (value) => (isKeyPair(value) ? value : undefined),
  format: asIs,
};

/** Sent in a header. Whether it protects anything is another question: `admin-key.ts`. */
export const adminKey: SettingType<string> = {
  ...matching(
    `secret of at least ${MIN_ADMIN_KEY_CHARS} characters, at most ${MAX_KEY_CHARS}, of printable ASCII`,
    HEADER_TEXT,
  ),
  parse: (value) => (HEADER_TEXT.test(value) && value.length <= MAX_KEY_CHARS ? value : undefined),
};

function escapedBytes(text: string): number {
  return Buffer.byteLength(JSON.stringify(text).replaceAll(/[<>&]/g, '\\u0026')) - 2;
}
