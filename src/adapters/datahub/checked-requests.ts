// GET requests to URLs that come from peers. Names are resolved once, and only addresses that passed the checks are
// dialed, again after each redirect, so that no peer directs our requests at anybody else. No proxy, no credentials, no
// connection is kept; headers, redirects and the body are bounded. The caller's signal bounds the time.
import { Agent as HttpAgent, type IncomingMessage, request as requestHttp } from 'node:http';
import { Agent as HttpsAgent, type RequestOptions, request as requestHttps } from 'node:https';
import { isIP, isIPv4, isIPv6, type LookupFunction } from 'node:net';
import type { ProbeReason, ProbeTarget } from '../../ports/datahub-prober.ts';
import { isPrivateHost, isPublicAddress, plainHost } from '../../wire/public-address.ts';
import { type ResolveName, resolveByDns, resolveByMachine } from './name-resolver.ts';

export interface CheckedRequestOptions {
  /** Whether private addresses are requested. */
  readonly allowsPrivate: boolean;
  readonly userAgent: string;
}

export interface Get {
  readonly maxRedirects: number;
  /** Bytes of the body; one byte more ends the request. 0: the body is not read. */
  readonly maxBytes: number;
  /** Called before each request, also after redirects; what it returns ends the request. */
  readonly stop?: ((target: ProbeTarget) => Refused | undefined) | undefined;
}

/** A request that was not made, or not continued. */
export interface Refused {
  readonly refused: ProbeReason;
  readonly details: string;
}

export interface Fetched {
  readonly status: number;
  /** Empty unless the status is 200. */
  readonly body: Uint8Array;
}

const MAX_URL_CHARS = 2048;
/** Only the status line and Location matter. */
const MAX_HEADER_BYTES = 8 * 1024;
/** Maximum number of 1xx responses before the final one; servers usually send one or none. */
const MAX_INFORMATIONAL = 4;
/** Counts as a failure of the server. */
const NO_STATUS = 500;
const REDIRECTS: ReadonlySet<number> = new Set([301, 302, 303, 307, 308]);
const OK = 200;
const NOTHING = new Uint8Array();

/** A request that is about to be sent. */
interface Hop extends ProbeTarget {
  readonly url: URL;
}

interface Answer extends Fetched {
  readonly location: string | undefined;
}

/** The body is longer than the caller takes. */
export class BodyTooLong extends Error {}

export class CheckedRequests {
  private readonly resolve: ResolveName;
  private readonly options: CheckedRequestOptions;

  /**
   * `resolve`: for tests. Default: the name servers of the machine, and its hosts file if private addresses are
   * allowed.
   */
  constructor(deps: { readonly resolve?: ResolveName }, options: CheckedRequestOptions) {
    this.resolve = deps.resolve ?? (options.allowsPrivate ? resolveByMachine() : resolveByDns);
    this.options = options;
  }

  /** Follows redirects. Throws what the network throws, the signal's reason, and BodyTooLong. */
  async get(first: URL, get: Get, signal: AbortSignal): Promise<Fetched | Refused> {
    let url = first;
    for (let redirects = 0; ; redirects += 1) {
      const hop = await this.checked(url, signal);
      if ('refused' in hop) return hop;
      const stopped = get.stop?.(hop);
      if (stopped !== undefined) return stopped;
      const { location, ...answer } = await request(hop, get.maxBytes, this.options.userAgent, signal);
      if (location === undefined) return answer;
      if (redirects === get.maxRedirects) return refused('redirects', `more than ${get.maxRedirects} redirects`);
      const next = redirected(location, url);
      if (next === undefined) return refused('form', 'redirected to an invalid URL (expected http or https)');
      url = next;
    }
  }

  /** The addresses to dial, one per family; a refusal if none may be dialed. */
  private async checked(url: URL, signal: AbortSignal): Promise<Hop | Refused> {
    const { allowsPrivate } = this.options;
    const host = plainHost(url.hostname);
    if (!allowsPrivate && isPrivateHost(host)) return refused('private', `${host} is private`);
    const all = isIP(host) > 0 ? [host] : await this.addressesOf(host, signal);
    if (all.length === 0) return refused('name', `${host} does not resolve`);
    const usable = all.filter((address) => isIP(address) > 0 && (allowsPrivate || isPublicAddress(address)));
    const addresses = [usable.find((each) => isIPv4(each)), usable.find((each) => isIPv6(each))].filter(
      (address) => address !== undefined,
    );
    if (addresses.length === 0) return refused('private', `${host} resolves to private addresses`);
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

/**
 * `path`, without a leading slash, below the path of a DataHub's URL, whose query and fragment are dropped. undefined
 * for what is no http or https URL, or has credentials.
 */
export function urlBelow(text: string, path: string, query: Readonly<Record<string, string>> = {}): URL | undefined {
  const url = requestUrl(text);
  if (url === undefined) return undefined;
  url.search = new URLSearchParams(query).toString();
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

/** Sends one GET; the connection is closed as soon as the answer is known. */
async function request(hop: Hop, maxBytes: number, userAgent: string, signal: AbortSignal): Promise<Answer> {
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
    response.on('error', reject);
    const { statusCode: status = NO_STATUS, headers } = response;
    const location = REDIRECTS.has(status) ? headers.location : undefined;
    if (location !== undefined || maxBytes === 0 || status !== OK) resolve({ status, location, body: NOTHING });
    else readBody(response, maxBytes).then((body) => resolve({ status, location, body }), reject);
  });
  sent.on('error', reject);
  sent.once('close', () => reject(new Error('closed without a response')));
  sent.end();
  try {
    return await promise;
  } finally {
    sent.destroy();
  }
}

async function readBody(response: IncomingMessage, maxBytes: number): Promise<Uint8Array> {
  const chunks: Buffer[] = [];
  let length = 0;
  for await (const chunk of response) {
    length += (chunk as Buffer).length;
    if (length > maxBytes) throw new BodyTooLong(`more than ${maxBytes} bytes`);
    chunks.push(chunk as Buffer);
  }
  return Buffer.concat(chunks, length);
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

function refused(reason: ProbeReason, details: string): Refused {
  return { refused: reason, details };
}

/** For operators: what went wrong with a request. */
export function codeOf(error: unknown): string {
  const code = error instanceof Error && 'code' in error ? error.code : undefined;
  return typeof code === 'string' ? code : 'no HTTP response';
}
