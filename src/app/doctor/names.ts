// Names of the peers that the settings list: do they resolve, and to what.
import { lookup } from 'node:dns/promises';
import { parseMultiaddr } from '../../adapters/libp2p/addresses.ts';
import { isDnsaddr, resolveDnsaddr, systemResolveTxt } from '../../adapters/libp2p/discovery/dnsaddr.ts';
import { orAfter } from '../../lib/deadline.ts';
import type { Settings } from '../../settings/load.ts';
import { type Finding, fine, notAskedFor, wrong } from './finding.ts';
import { listedPeers } from './view.ts';

const LOOKUP_MS = 6000;
const MAX_NAMES = 32;

interface Resolved {
  readonly text: string;
  readonly isFound: boolean;
  readonly isTxt: boolean;
}

export async function checkNames(settings: Settings, signal: AbortSignal): Promise<Finding> {
  const named = listedPeers(settings)
    .filter((address) => /^\/dns(4|6|addr)?\//.test(address))
    .slice(0, MAX_NAMES);
  if (named.length === 0) return notAskedFor('dns', 'no listed peer has a name');
  const all = await Promise.all(named.map((address) => resolved(address, signal)));
  const failed = all.filter(({ isFound }) => !isFound);
  const found = (failed.length > 0 ? failed : all).map(({ text }) => text).join('; ');
  if (failed.length < all.length) {
    const count = failed.length === 0 ? '' : `${failed.length} of ${all.length} names do not resolve: `;
    return fine('dns', `${count}${found}`);
  }
  const advice = failed.some(({ isTxt }) => isTxt)
    ? 'check the name, and ask its operator for the TXT records "dnsaddr=/ip4/…/tcp/…/p2p/…" of _dnsaddr.<name>; check the name servers of this machine (/etc/resolv.conf); or list peers by address'
    : 'check the name and the name servers of this machine (/etc/resolv.conf), or list the peer by its IP address';
  return wrong('dns', found, advice);
}

async function resolved(address: string, signal: AbortSignal): Promise<Resolved> {
  const parsed = parseMultiaddr(address);
  const host = parsed.getComponents()[0]?.value ?? '';
  const isTxt = isDnsaddr(parsed);
  const what = isTxt ? `TXT records of _dnsaddr.${host}` : `addresses of ${host}`;
  try {
    const found = await orAfter(
      isTxt ? resolveDnsaddr(parsed, systemResolveTxt, signal) : addressesOf(host),
      LOOKUP_MS,
      undefined,
    );
    if (found === undefined) return { text: `${what}: no answer in time`, isFound: false, isTxt };
    if (found.length === 0) return { text: `${what}: none that is an address of a peer`, isFound: false, isTxt };
    return {
      text: `${what}: ${found.slice(0, 4).join(', ')}${found.length > 4 ? ` and ${found.length - 4} more` : ''}`,
      isFound: true,
      isTxt,
    };
  } catch (error) {
    return { text: `${what}: ${meaning(error)}`, isFound: false, isTxt };
  }
}

async function addressesOf(host: string): Promise<readonly string[]> {
  return (await lookup(host, { all: true })).map(({ address }) => address);
}

const MEANINGS: Readonly<Record<string, string>> = {
  ENOTFOUND: 'the name does not resolve',
  ENODATA: 'the name has no such records',
  EAI_AGAIN: 'the name server does not answer',
  ECONNREFUSED: 'the name server refuses the connection',
  ETIMEOUT: 'the name server does not answer',
  ESERVFAIL: 'the name server failed',
};

function meaning(error: unknown): string {
  const code = error instanceof Error && 'code' in error ? String(error.code) : '';
  return `${MEANINGS[code] ?? (error instanceof Error ? error.message : 'failed')}${code === '' ? '' : ` (${code})`}`;
}
