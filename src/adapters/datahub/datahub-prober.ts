// Asks a DataHub for the genesis block, as Go does, at an address that was looked at first: names are resolved once, and what is dialled is what
// was checked, after each redirect again. Only the status is read; no proxy, no credentials, no connection kept.
import { Agent as HttpAgent, type IncomingMessage, request as requestHttp } from 'node:http';
import { Agent as HttpsAgent, type RequestOptions, request as requestHttps } from 'node:https';
import { isIP, isIPv4, isIPv6, type LookupFunction } from 'node:net';
import type { BlockHash } from '../../domain/ids.ts';
import type { DataHubProber, DataHubVerdict, ProbeReason, ProbeRule } from '../../ports/datahub-prober.ts';
import { isPrivateHost, isPublicAddress, plainHost } from '../../wire/public-address.ts';
import { type ResolveName, resolveByDns, resolveByMachine } from './name-resolver.ts';

export interface HttpDataHubProberOptions {
  /** Of the network's first block, which every DataHub has. */
  readonly genesisHash: BlockHash;
  /** `p2p_allow_private_datahubs`. */
  readonly allowsPrivate: boolean;
  /** How we present ourselves. */
  readonly userAgent: string;
  /** For resolving, connecting and asking, redirects included. Default two seconds, as in Go. */
  readonly deadlineMs?: number;
}

const DEADLINE_MS = 2000;
/** From http to https and from a bare name to www, and one to spare. */
const MAX_REDIRECTS = 3;
const MAX_URL_CHARS = 2048;
const MAX_DETAIL_CHARS = 200;
/** Only the status line and Location matter. */
const MAX_HEADER_BYTES = 8 * 1024;
/** Statuses 1xx before the real one; servers send one or none. */
const MAX_INFORMATIONAL = 4;
const REDIRECTS: ReadonlySet<number> = new Set([301, 302, 303, 307, 308]);
const FIRST_DEAD_STATUS = 500;

/** A request that is about to be made. */
interface Hop {
  readonly url: URL;
  readonly host: string;
  readonly addresses: readonly string[];
}

interface Answer {
  readonly status: number;
  readonly location: string | undefined;
}

export class HttpDataHubProber implements DataHubProber {
  private readonly resolve: ResolveName;
  private readonly options: HttpDataHubProberOptions;

  /** `resolve` for tests; else the machine's name servers, and its hosts file where private addresses are allowed. */
  constructor(deps: { readonly resolve?: ResolveName }, options: HttpDataHubProberOptions) {
    this.resolve = deps.resolve ?? (options.allowsPrivate ? resolveByMachine() : resolveByDns);
    this.options = options;
  }

  async probe(url: string, signal: AbortSignal, rule: ProbeRule = () => 'ask'): Promise<DataHubVerdict> {
    const late = AbortSignal.timeout(this.options.deadlineMs ?? DEADLINE_MS);
    const first = blockUrl(url, this.options.genesisHash);
    if (first === undefined) return verdict('dead', 'form', 'no http or https URL without credentials');
    try {
      return await this.visit(first, AbortSignal.any([signal, late]), rule);
    } catch (error) {
      if (signal.aborted) return verdict('postponed', 'aborted', 'stopped');
      if (late.aborted) return verdict('dead', 'timeout', 'no answer in time');
      return verdict('dead', 'unreachable', codeOf(error));
    }
  }

  private async visit(first: URL, signal: AbortSignal, rule: ProbeRule): Promise<DataHubVerdict> {
    let url = first;
    for (let redirects = 0; ; redirects += 1) {
      const hop = await this.checked(url, signal);
      if ('outcome' in hop) return hop;
      const leave = rule(hop);
      if (leave !== 'ask') return verdict(leave, 'rule', `not asked: ${hop.host}`);
      const { status, location } = await ask(hop, this.options.userAgent, signal);
      if (!REDIRECTS.has(status) || location === undefined) return judged(status);
      if (redirects === MAX_REDIRECTS) return verdict('dead', 'redirects', `more than ${MAX_REDIRECTS} redirects`);
      const next = redirected(location, url);
      if (next === undefined) return verdict('dead', 'form', 'redirected to what is no http or https URL');
      url = next;
    }
  }

  /** The addresses to dial, one a family; a verdict when there is none that may be dialled. */
  private async checked(url: URL, signal: AbortSignal): Promise<Hop | DataHubVerdict> {
    const { allowsPrivate } = this.options;
    const host = plainHost(url.hostname);
    if (!allowsPrivate && isPrivateHost(host)) return verdict('dead', 'private', `${host} is private`);
    const all = isIP(host) > 0 ? [host] : await this.addressesOf(host, signal);
    if (all.length === 0) return verdict('dead', 'name', `${host} does not resolve`);
    const usable = all.filter((address) => isIP(address) > 0 && (allowsPrivate || isPublicAddress(address)));
    const addresses = [usable.find((each) => isIPv4(each)), usable.find((each) => isIPv6(each))].filter(
      (address) => address !== undefined,
    );
    if (addresses.length === 0) return verdict('dead', 'private', `${host} resolves to private addresses`);
    return { url, host, addresses };
  }

  /** Empty when the name does not resolve. */
  private async addressesOf(host: string, signal: AbortSignal): Promise<readonly string[]> {
    try {
      return await this.resolve(host, signal);
    } catch {
      signal.throwIfAborted();
      return [];
    }
  }
}

/** Path of the block beneath the URL's own; what would change its meaning (query, fragment) is left out. */
function blockUrl(text: string, genesisHash: BlockHash): URL | undefined {
  const url = askable(text);
  if (url === undefined) return undefined;
  url.search = '';
  url.hash = '';
  url.pathname = `${url.pathname.replace(/\/+$/, '')}/block/${genesisHash}`;
  return url;
}

function redirected(location: string, from: URL): URL | undefined {
  const url = askable(location, from);
  if (url !== undefined) url.hash = '';
  return url;
}

function askable(text: string, base?: URL): URL | undefined {
  if (text.length > MAX_URL_CHARS) return undefined;
  const url = URL.parse(text, base);
  const isHttp = url?.protocol === 'http:' || url?.protocol === 'https:';
  return url !== null && isHttp && url.username === '' && url.password === '' && url.hostname !== '' ? url : undefined;
}

/** One GET; the connection is closed as soon as the status is known. */
function ask(hop: Hop, userAgent: string, signal: AbortSignal): Promise<Answer> {
  const isTls = hop.url.protocol === 'https:';
  const agent = isTls ? new HttpsAgent({ keepAlive: false }) : new HttpAgent({ keepAlive: false });
  const { promise, resolve, reject } = Promise.withResolvers<Answer>();
  const request = (isTls ? requestHttps : requestHttp)({ ...requestOptions(hop, userAgent), agent, signal });
  let informational = 0;
  request.on('information', () => {
    informational += 1;
    if (informational > MAX_INFORMATIONAL) request.destroy(new Error('no end of informational answers'));
  });
  request.once('response', (response: IncomingMessage) => {
    resolve({ status: response.statusCode ?? FIRST_DEAD_STATUS, location: response.headers.location });
    response.on('error', () => {});
    request.destroy();
  });
  request.on('error', reject);
  request.once('close', () => reject(new Error('closed without an answer')));
  request.end();
  return promise;
}

function requestOptions({ url, host, addresses }: Hop, userAgent: string): RequestOptions {
  return {
    host,
    port: url.port === '' ? (url.protocol === 'https:' ? 443 : 80) : Number(url.port),
    path: `${url.pathname}${url.search}`,
    headers: { host: url.host, 'user-agent': userAgent, accept: '*/*' },
    lookup: answering(addresses),
    maxHeaderSize: MAX_HEADER_BYTES,
    rejectUnauthorized: true,
    ...(isIP(host) === 0 ? { servername: host } : {}),
  };
}

/** In place of a second resolution: what was checked. */
function answering(addresses: readonly string[]): LookupFunction {
  const all = addresses.map((address) => ({ address, family: isIP(address) }));
  return (_host, options, callback) => {
    if (options.all === true) callback(null, all);
    else callback(null, all[0]?.address ?? '', all[0]?.family);
  };
}

function judged(status: number): DataHubVerdict {
  return status < FIRST_DEAD_STATUS
    ? verdict('alive', 'answered', `status ${status}`)
    : verdict('dead', 'status', `status ${status}`);
}

function verdict(outcome: DataHubVerdict['outcome'], reason: ProbeReason, details: string): DataHubVerdict {
  return { outcome, reason, details: details.slice(0, MAX_DETAIL_CHARS) };
}

function codeOf(error: unknown): string {
  const code = error instanceof Error && 'code' in error ? error.code : undefined;
  return typeof code === 'string' ? code : 'no HTTP answer';
}
