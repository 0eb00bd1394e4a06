// Which DataHub URLs are handed to services that will fetch from them: http, of a sane length, not blacklisted, and, unless it is allowed, not
// aimed at private networks. Names are not resolved here; who fetches must look at the address again.
import ipaddr from 'ipaddr.js';
import { LRUCache } from 'lru-cache';

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
/** Names that never lead outside (RFC 6761, RFC 6762, RFC 8375, RFC 9476); a name without a dot does not either. */
const PRIVATE_SUFFIXES = ['localhost', 'local', 'internal', 'home.arpa', 'lan', 'test', 'invalid'];

/**
 * As every parser reads it: WHATWG also takes backslashes and too few or too many slashes, and drops spaces and line ends, where others see
 * another host. Then the host that is checked would not be the one that is fetched from.
 */
const PLAIN_FORM = /^https?:\/\/[^/?#@]+(?:[/?#]|$)/i;
const AMBIGUOUS = /[\s\\\p{Cc}]/u;
/** All of IPv6 that is handed out to networks (RFC 4291, IANA). */
const GLOBAL_UNICAST = ipaddr.IPv6.parse('2000::');
const GLOBAL_UNICAST_BITS = 3;

/** What is wrong with a URL; undefined when it may be used. */
export function dataHubUrlCheck(rules: DataHubUrlRules): (url: string) => DataHubUrlFault | undefined {
  const blacklist = new Set(rules.blacklist.map(hostOf).filter((host) => host !== undefined));
  const remembered = new LRUCache<string, { fault: DataHubUrlFault | undefined }>({ max: MAX_REMEMBERED });
  return (url) => {
    const known = remembered.get(url);
    if (known !== undefined) return known.fault;
    const fault = check(url, rules.allowsPrivate, blacklist);
    if (url.length <= MAX_CHARS) remembered.set(url, { fault });
    return fault;
  };
}

function check(text: string, allowsPrivate: boolean, blacklist: ReadonlySet<string>): DataHubUrlFault | undefined {
  if (text.length > MAX_CHARS || !PLAIN_FORM.test(text) || AMBIGUOUS.test(text) || !URL.canParse(text)) return 'form';
  const host = plainHost(new URL(text).hostname);
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

/** Lower case, without the brackets of IPv6 and the dot at the end; an IPv4 address in IPv6 is the IPv4 address. */
function plainHost(hostname: string): string {
  const host = hostname
    .toLowerCase()
    .replace(/^\[(.*)\]$/, '$1')
    .replace(/\.$/, '');
  return ipaddr.isValid(host) ? ipaddr.process(host).toString() : host;
}

/** True for addresses that are not of the public internet, and for names that cannot be. */
function isPrivateHost(host: string): boolean {
  if (ipaddr.isValid(host)) {
    const address = ipaddr.process(host);
    const isGlobal = address instanceof ipaddr.IPv4 || address.match(GLOBAL_UNICAST, GLOBAL_UNICAST_BITS);
    return !isGlobal || address.range() !== 'unicast';
  }
  if (!host.includes('.')) return true;
  return PRIVATE_SUFFIXES.some((suffix) => host.endsWith(`.${suffix}`));
}
