// Requests something small from a DataHub, as the Go service does: by wire.md the genesis block, by today.md the best
// block header. Names are resolved once, and only addresses that passed the checks are dialed, again after each
// redirect. Only the status is read; no proxy, no credentials, no connection is kept.
import { Agent as HttpAgent, type IncomingMessage, request as requestHttp } from 'node:http';
import { Agent as HttpsAgent, type RequestOptions, request as requestHttps } from 'node:https';
import { isIP, isIPv4, isIPv6, type LookupFunction } from 'node:net';
import type { BlockHash } from '../../domain/ids.ts';
import type { DataHubProber, DataHubVerdict, ProbeReason, ProbeRule } from '../../ports/datahub-prober.ts';
import { isPrivateHost, isPublicAddress, plainHost } from '../../wire/public-address.ts';
import { type ResolveName, resolveByDns, resolveByMachine } from './name-resolver.ts';

/** What is requested, and which response counts as an answer. */
export interface DataHubCheck {
  /** Below the path of the DataHub's URL; without a leading slash. */
  readonly path: string;
  readonly maxRedirects: number;
  answers(status: number): boolean;
}

/** Of wire.md: every DataHub has the genesis block, and any status that is no failure of the server counts. */
export function genesisBlockCheck(hash: BlockHash): DataHubCheck {
  // Redirects: from http to https, from a bare name to www, and one more.
  return { path: `block/${hash}`, maxRedirects: 3, answers: (status) => status < 500 };
}

/** Of today.md: the DataHub of a node in order knows its best block. */
export const BEST_HEADER_CHECK: DataHubCheck = {
  path: 'bestblockheader',
  maxRedirects: 5,
  answers: (status) => status === 200,
};

export interface HttpDataHubProberOptions {
  readonly check: DataHubCheck;
  /** Whether private addresses are requested. */
  readonly allowsPrivate: boolean;
  /** User agent of the requests. */
  readonly userAgent: string;
  /** For resolving, connecting and requesting, redirects included. Default 2 s, as in the Go service. */
  readonly deadlineMs?: number;
}

const DEADLINE_MS = 2000;
const MAX_URL_CHARS = 2048;
const MAX_DETAIL_CHARS = 200;
/** Only the status line and Location matter. */
const MAX_HEADER_BYTES = 8 * 1024;
/** Maximum number of 1xx responses before the final one; servers usually send one or none. */
const MAX_INFORMATIONAL = 4;
/** Counts as a failure of the server. */
const NO_STATUS = 500;
const REDIRECTS: ReadonlySet<number> = new Set([301, 302, 303, 307, 308]);

/** A request that is about to be sent. */
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

  /**
   * `resolve`: for tests. Default: the name servers of the machine, and its hosts file if private addresses are
   * allowed.
   */
  constructor(deps: { readonly resolve?: ResolveName }, options: HttpDataHubProberOptions) {
    this.resolve = deps.resolve ?? (options.allowsPrivate ? resolveByMachine() : resolveByDns);
    this.options = options;
  }

  async probe(url: string, signal: AbortSignal, rule: ProbeRule = () => 'ask'): Promise<DataHubVerdict> {
    const late = AbortSignal.timeout(this.options.deadlineMs ?? DEADLINE_MS);
    const first = urlBelow(url, this.options.check.path);
    if (first === undefined)
      return verdict('dead', 'form', 'invalid URL (expected http or https, without credentials)');
    try {
      return await this.visit(first, AbortSignal.any([signal, late]), rule);
    } catch (error) {
      if (signal.aborted) return verdict('postponed', 'aborted', 'stopped');
      if (late.aborted) return verdict('dead', 'timeout', 'no response in time');
      return verdict('dead', 'unreachable', codeOf(error));
    }
  }

  private async visit(first: URL, signal: AbortSignal, rule: ProbeRule): Promise<DataHubVerdict> {
    const { check, userAgent } = this.options;
    let url = first;
    for (let redirects = 0; ; redirects += 1) {
      const hop = await this.checked(url, signal);
      if ('outcome' in hop) return hop;
      const leave = rule(hop);
      if (leave !== 'ask') return verdict(leave, 'rule', `not requested: ${hop.host}`);
      const { status, location } = await request(hop, userAgent, signal);
      if (!REDIRECTS.has(status) || location === undefined) {
        const details = `status ${status}`;
        return check.answers(status) ? verdict('alive', 'answered', details) : verdict('dead', 'status', details);
      }
      if (redirects === check.maxRedirects)
        return verdict('dead', 'redirects', `more than ${check.maxRedirects} redirects`);
      const next = redirected(location, url);
      if (next === undefined) return verdict('dead', 'form', 'redirected to an invalid URL (expected http or https)');
      url = next;
    }
  }

  /** The addresses to dial, one per family; a verdict if none may be dialed. */
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

/** Query and fragment are dropped. */
function urlBelow(text: string, path: string): URL | undefined {
  const url = requestUrl(text);
  if (url === undefined) return undefined;
  url.search = '';
  url.hash = '';
  url.pathname = `${url.pathname.replace(/\/+$/, '')}/${path}`;
  return url;
}

function redirected(location: string, from: URL): URL | undefined {
  const url = requestUrl(location, from);
  if (url !== undefined) url.hash = '';
  return url;
}

function requestUrl(text: string, base?: URL): URL | undefined {
  if (text.length > MAX_URL_CHARS) return undefined;
  const url = URL.parse(text, base);
  const isHttp = url?.protocol === 'http:' || url?.protocol === 'https:';
  return url !== null && isHttp && url.username === '' && url.password === '' && url.hostname !== '' ? url : undefined;
}

/** Sends one GET; the connection is closed as soon as the status is known. */
function request(hop: Hop, userAgent: string, signal: AbortSignal): Promise<Answer> {
  const isTls = hop.url.protocol === 'https:';
  const agent = isTls ? new HttpsAgent({ keepAlive: false }) : new HttpAgent({ keepAlive: false });
  const { promise, resolve, reject } = Promise.withResolvers<Answer>();
  const sent = (isTls ? requestHttps : requestHttp)({ ...requestOptions(hop, userAgent), agent, signal });
  let informational = 0;
  sent.on('information', () => {
    informational += 1;
    if (informational > MAX_INFORMATIONAL) sent.destroy(new Error('too many 1xx responses'));
  });
  sent.once('response', (response: IncomingMessage) => {
    resolve({ status: response.statusCode ?? NO_STATUS, location: response.headers.location });
    response.on('error', () => {});
    sent.destroy();
  });
  sent.on('error', reject);
  sent.once('close', () => reject(new Error('closed without a response')));
  sent.end();
  return promise;
}

function requestOptions({ url, host, addresses }: Hop, userAgent: string): RequestOptions {
  return {
    host,
    port: url.port === '' ? (url.protocol === 'https:' ? 443 : 80) : Number(url.port),
    path: `${url.pathname}${url.search}`,
    headers: { host: url.host, 'user-agent': userAgent, accept: '*/*' },
    lookup: fixedLookup(addresses),
    maxHeaderSize: MAX_HEADER_BYTES,
    rejectUnauthorized: true,
    ...(isIP(host) === 0 ? { servername: host } : {}),
  };
}

/** Returns the addresses that were checked instead of resolving again. */
function fixedLookup(addresses: readonly string[]): LookupFunction {
  const all = addresses.map((address) => ({ address, family: isIP(address) }));
  return (_host, options, callback) => {
    if (options.all === true) callback(null, all);
    else callback(null, all[0]?.address ?? '', all[0]?.family);
  };
}

function verdict(outcome: DataHubVerdict['outcome'], reason: ProbeReason, details: string): DataHubVerdict {
  return { outcome, reason, details: details.slice(0, MAX_DETAIL_CHARS) };
}

function codeOf(error: unknown): string {
  const code = error instanceof Error && 'code' in error ? error.code : undefined;
  return typeof code === 'string' ? code : 'no HTTP response';
}
