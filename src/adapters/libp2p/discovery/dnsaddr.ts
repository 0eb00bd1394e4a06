// `/dnsaddr/<host>`: the TXT records of `_dnsaddr.<host>` hold the addresses of peers. Go nodes resolve one level; here a
// record may name a second host, whose records hold addresses only. Whoever answers a lookup is not trusted: number, size
// and depth of the answers are limited, and so is the time.
import { getServers, Resolver } from 'node:dns/promises';
import type { MultiaddrResolver } from '@libp2p/interface';
import { type Multiaddr, multiaddr } from '@multiformats/multiaddr';
import { orAfter } from '../../../lib/deadline.ts';
import { dialMultiaddr, peerIdOf } from '../addresses.ts';
import type { OperatorAddresses } from '../connections/operator-addresses.ts';

/** TXT records of a name, each as its parts. */
export type ResolveTxt = (name: string, signal: AbortSignal) => Promise<readonly (readonly string[])[]>;

const LOOKUP_DEADLINE_MS = 5000;
/** Records that are read of one answer, and addresses that one listed name stands for. */
const MAX_RECORDS = 64;
const MAX_RECORD_CHARS = 512;
const MAX_NESTED_NAMES = 8;
const PREFIX = 'dnsaddr=';

export function isDnsaddr(address: Multiaddr): boolean {
  return address.getComponents()[0]?.name === 'dnsaddr';
}

/** Asks the name servers of the system, or those that the process was given instead. */
export const systemResolveTxt: ResolveTxt = async (name, signal) => {
  const resolver = new Resolver();
  resolver.setServers(getServers());
  const cancel = () => resolver.cancel();
  signal.addEventListener('abort', cancel, { once: true });
  try {
    return await resolver.resolveTxt(name);
  } finally {
    signal.removeEventListener('abort', cancel);
  }
};

/**
 * Addresses of peers, each with its ID; those of one peer when the address ends with an ID. Throws when the first lookup
 * fails or is not answered in time.
 */
export async function resolveDnsaddr(
  address: Multiaddr,
  resolveTxt: ResolveTxt,
  signal: AbortSignal,
): Promise<readonly string[]> {
  const records = await addressesAt(address, resolveTxt, signal);
  const names = records.filter(isDnsaddr).slice(0, MAX_NESTED_NAMES);
  const nested = await Promise.all(names.map((name) => addressesAt(name, resolveTxt, signal).catch(() => [])));
  const wanted = peerIdOf(address);
  const addresses = [...records, ...nested.flat()]
    .filter((found) => isDialable(found) && (wanted === undefined || peerIdOf(found) === wanted))
    .map(String);
  return [...new Set(addresses)].slice(0, MAX_RECORDS);
}

/**
 * For libp2p, which resolves addresses that it dials: the operator's names, to addresses that are the operator's too. A
 * name that a peer claims has none, as one claim would make up to 64 addresses and lookups.
 */
export function dnsaddrResolver(
  resolveTxt: ResolveTxt,
  operators: Pick<OperatorAddresses, 'has' | 'add'>,
): MultiaddrResolver {
  return {
    canResolve: isDnsaddr,
    resolve: async (address, { signal = AbortSignal.timeout(LOOKUP_DEADLINE_MS) }) => {
      if (!operators.has(address)) return [];
      const found = (await resolveDnsaddr(address, resolveTxt, signal)).map((text) => multiaddr(text));
      for (const each of found) operators.add(each);
      return found;
    },
  };
}

/** What the records of a name say, for the peer that the address ends with. */
async function addressesAt(address: Multiaddr, resolveTxt: ResolveTxt, signal: AbortSignal): Promise<Multiaddr[]> {
  const host = address.getComponents()[0]?.value ?? '';
  const wanted = peerIdOf(address);
  const timed = AbortSignal.any([signal, AbortSignal.timeout(LOOKUP_DEADLINE_MS)]);
  const records = await orAfter(resolveTxt(`_dnsaddr.${host}`, timed), LOOKUP_DEADLINE_MS, undefined);
  if (records === undefined) throw new Error(`no answer about _dnsaddr.${host} within ${LOOKUP_DEADLINE_MS} ms`);
  return records.slice(0, MAX_RECORDS).flatMap((parts) => {
    const found = addressIn(parts.join(''));
    return found === undefined || (wanted !== undefined && (peerIdOf(found) ?? wanted) !== wanted) ? [] : [found];
  });
}

function addressIn(record: string): Multiaddr | undefined {
  if (!record.startsWith(PREFIX) || record.length > MAX_RECORD_CHARS) return undefined;
  try {
    return dialMultiaddr(record.slice(PREFIX.length));
  } catch {
    return undefined;
  }
}

function isDialable(address: Multiaddr): boolean {
  return !isDnsaddr(address) && peerIdOf(address) !== undefined;
}
