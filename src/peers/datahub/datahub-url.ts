// Which DataHub URLs are handed to services that will fetch from them: http, of a sane length, not blacklisted, and, unless it is allowed, not
// aimed at private networks. Names are not resolved here; who fetches must look at the address again.
import ipaddr from 'ipaddr.js';
import { LRUCache } from 'lru-cache';
import { isPrivateHost, plainHost } from '../../wire/public-address.ts';

export type DataHubUrlFault = 'form' | 'private' | 'blacklisted';

export interface DataHubUrlRules {
  /** `p2p_allow_private_datahubs`. */
  readonly allowsPrivate: boolean;
  /** `subtreevalidation_blacklisted_baseurls`: URLs or hosts; the host counts. */
  readonly blacklist: readonly string[];
}

const MAX_CHARS = 2048;
/** Nearly all messages of an author carry the same URL. */
const MAX_REMEMBERED = 4096;
/**
 * As every parser reads it: WHATWG also takes backslashes and too few or too many slashes, and drops spaces and line ends, where others see
 * another host. Then the host that is checked would not be the one that is fetched from.
 */
const PLAIN_ORIGIN = /^https?:\/\/[^/?#@]+(?=[/?#]|$)/i;
// biome-ignore lint/suspicious/noControlCharactersInRegex: those are what it looks for
const AMBIGUOUS = /[\s\\\u0000-\u001f\u007f-\u009f]/;

/** What is wrong with a URL; undefined when it may be used. What decides is its origin: that is parsed once, whatever stands behind it. */
export function dataHubUrlCheck(rules: DataHubUrlRules): (url: string) => DataHubUrlFault | undefined {
  const blacklist = new Set(rules.blacklist.map(hostOf).filter((host) => host !== undefined));
  const remembered = new LRUCache<string, { fault: DataHubUrlFault | undefined }>({ max: MAX_REMEMBERED });
  return (url) => {
    if (url.length > MAX_CHARS || AMBIGUOUS.test(url)) return 'form';
    const origin = PLAIN_ORIGIN.exec(url)?.[0];
    if (origin === undefined) return 'form';
    let known = remembered.get(origin);
    if (known === undefined) {
      known = { fault: check(origin, rules.allowsPrivate, blacklist) };
      remembered.set(origin, known);
    }
    return known.fault;
  };
}

function check(origin: string, allowsPrivate: boolean, blacklist: ReadonlySet<string>): DataHubUrlFault | undefined {
  if (!URL.canParse(origin)) return 'form';
  const host = plainHost(new URL(origin).hostname);
  if (host.split('.').includes('')) return 'form';
  if (blacklist.has(host)) return 'blacklisted';
  return !allowsPrivate && isPrivateHost(host) ? 'private' : undefined;
}

/** The host of a URL, `host:port` or host; undefined for what has none. */
function hostOf(text: string): string | undefined {
  const trimmed = text.trim();
  const host = ipaddr.IPv6.isValid(trimmed) ? `[${trimmed}]` : trimmed;
  const whole = host.includes('://') ? host : `http://${host}`;
  return URL.canParse(whole) ? plainHost(new URL(whole).hostname) : undefined;
}
