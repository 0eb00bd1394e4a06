// Which DataHub URLs may be passed to services that fetch from them: http or https, of limited length, with a path that
// another one can be appended to, not blacklisted, and not in a private network unless that is allowed. Names are not
// resolved here; the fetching service must check the address again.
import ipaddr from 'ipaddr.js';
import { LRUCache } from 'lru-cache';
import { shownText } from '../../lib/shown-text.ts';
import { isPrivateHost, plainHost } from '../../wire/public-address.ts';

export type DataHubUrlFault = 'form' | 'private' | 'blacklisted';

export interface DataHubUrlRules {
  /** `p2p_allow_private_datahubs`. */
  readonly allowsPrivate: boolean;
  /** `subtreevalidation_blacklisted_baseurls`: URLs or hosts; the host counts. */
  readonly blacklist: readonly string[];
}

const MAX_CHARS = 2048;
/** Origins remembered: nearly all messages of an author carry the same URL. */
const MAX_REMEMBERED = 4096;
/**
 * An origin that every parser reads the same way. The WHATWG parser also accepts backslashes and missing or extra
 * slashes, and drops spaces and line breaks, where other parsers see another host; then the checked host would not be
 * the one that is fetched from. U+FFFD stands for bytes that were not UTF-8.
 */
const PLAIN_ORIGIN = /^https?:\/\/[^/?#@]+(?=[/?#]|$)/i;
// biome-ignore lint/suspicious/noControlCharactersInRegex: it looks for control characters
const AMBIGUOUS = /[\s\\\u0000-\u001f\u007f-\u009f\ufffd]/;
/**
 * A service that fetches appends the path of what it wants, so a query or a fragment would swallow that path, and `..`
 * would leave the folder. Some servers decode a separator before they resolve dots.
 */
const NOT_APPENDABLE = /[?#]|%2f|%5c|\/(?:\.|%2e){1,2}(?:\/|$)/i;

/** Whether a URL names a host to reach by http or https, however else it is written. */
export function isHttpUrl(url: string): boolean {
  if (!URL.canParse(url)) return false;
  const { protocol, hostname } = new URL(url);
  return (protocol === 'http:' || protocol === 'https:') && hostname !== '';
}

/**
 * A function that says what is wrong with a URL; undefined when it may be used. Each origin is parsed once.
 */
export function dataHubUrlCheck(rules: DataHubUrlRules): (url: string) => DataHubUrlFault | undefined {
  const blacklist = new Set(rules.blacklist.map(hostOf).filter((host) => host !== undefined));
  const remembered = new LRUCache<string, { fault: DataHubUrlFault | undefined }>({ max: MAX_REMEMBERED });
  return (url) => {
    if (url.length > MAX_CHARS || AMBIGUOUS.test(url) || shownText(url) !== url) return 'form';
    const origin = PLAIN_ORIGIN.exec(url)?.[0];
    if (origin === undefined) return 'form';
    let known = remembered.get(origin);
    if (known === undefined) {
      known = { fault: check(origin, rules.allowsPrivate, blacklist) };
      remembered.set(origin, known);
    }
    if (known.fault === 'form' || known.fault === 'blacklisted') return known.fault;
    return NOT_APPENDABLE.test(url) ? 'form' : known.fault;
  };
}

function check(origin: string, allowsPrivate: boolean, blacklist: ReadonlySet<string>): DataHubUrlFault | undefined {
  if (!URL.canParse(origin)) return 'form';
  const host = plainHost(new URL(origin).hostname);
  if (host.split('.').includes('')) return 'form';
  if (blacklist.has(host)) return 'blacklisted';
  return !allowsPrivate && isPrivateHost(host) ? 'private' : undefined;
}

/** The host of a URL, of `host:port` or of a plain host; undefined when there is none. */
function hostOf(text: string): string | undefined {
  const trimmed = text.trim();
  const host = ipaddr.IPv6.isValid(trimmed) ? `[${trimmed}]` : trimmed;
  const whole = host.includes('://') ? host : `http://${host}`;
  return URL.canParse(whole) ? plainHost(new URL(whole).hostname) : undefined;
}
