// Fetches from the HTTP API of Teranode's asset service, always its binary form. Every answer is bounded in bytes and
// time, and headers are checked to be those that were asked for and to follow from each other.
import type { BlockHash, SubtreeHash } from '../../domain/ids.ts';
import type { DataHubAnswer, DataHubClient, FetchedHeader, FetchFault } from '../../ports/datahub-client.ts';
import { HEADER_BYTES, hashHeader, parseHeader } from '../../wire/header.ts';
import { BodyTooLong, CheckedRequests, codeOf, urlBelow } from './checked-requests.ts';
import type { ResolveName } from './name-resolver.ts';

export interface HttpDataHubClientOptions {
  /** Whether private addresses are requested. */
  readonly allowsPrivate: boolean;
  /** User agent of the requests. */
  readonly userAgent: string;
  /** For resolving, connecting and reading one answer, redirects included. Default 10 s. */
  readonly deadlineMs?: number;
}

/** 10,000 headers, 800 kB, at a line of 1 Mbit/s. */
const DEADLINE_MS = 10_000;
/** As the probe of a DataHub. */
const MAX_REDIRECTS = 5;
/** The asset service never sends more. */
const MAX_COUNT = 10_000;
/** Their text must fit into a URL. */
const MAX_LOCATOR = 64;
const HASH_BYTES = 32;
const MAX_DETAIL_CHARS = 200;

export class HttpDataHubClient implements DataHubClient {
  private readonly requests: CheckedRequests;
  private readonly deadlineMs: number;

  /** `resolve`: for tests. */
  constructor(deps: { readonly resolve?: ResolveName }, options: HttpDataHubClientOptions) {
    this.requests = new CheckedRequests(deps, options);
    this.deadlineMs = options.deadlineMs ?? DEADLINE_MS;
  }

  async bestHeader(url: string, signal: AbortSignal): Promise<DataHubAnswer<FetchedHeader>> {
    return one(await this.headers(url, 'bestblockheader', {}, 1, signal));
  }

  async header(url: string, hash: BlockHash, signal: AbortSignal): Promise<DataHubAnswer<FetchedHeader>> {
    return one(startingAt(hash, await this.headers(url, `header/${hash}`, {}, 1, signal)));
  }

  async headersBack(url: string, hash: BlockHash, count: number, signal: AbortSignal) {
    const n = Math.min(count, MAX_COUNT);
    return startingAt(hash, backward(await this.headers(url, `headers/${hash}`, { n: String(n) }, n, signal)));
  }

  async headersFromAncestor(
    url: string,
    target: BlockHash,
    locator: readonly BlockHash[],
    count: number,
    signal: AbortSignal,
  ) {
    const path = `headers_from_common_ancestor/${target}`;
    const n = Math.min(count, MAX_COUNT);
    return forward(await this.headers(url, path, ancestorQuery(locator, n), n, signal));
  }

  async headersToAncestor(
    url: string,
    target: BlockHash,
    locator: readonly BlockHash[],
    count: number,
    signal: AbortSignal,
  ) {
    const path = `headers_to_common_ancestor/${target}`;
    const n = Math.min(count, MAX_COUNT);
    return endingIn(locator, backward(await this.headers(url, path, ancestorQuery(locator, n), n, signal)));
  }

  async block(url: string, hash: BlockHash, maxBytes: number, signal: AbortSignal): Promise<DataHubAnswer<Uint8Array>> {
    const answer = await this.bytes(url, `block/${hash}`, {}, maxBytes, signal);
    if (!answer.ok) return answer;
    const header = answer.value.subarray(0, HEADER_BYTES);
    return header.byteLength === HEADER_BYTES && hashHeader(header) === hash ? answer : wrong('another block');
  }

  async subtree(url: string, hash: SubtreeHash, maxBytes: number, signal: AbortSignal) {
    const answer = await this.bytes(url, `subtree/${hash}`, {}, maxBytes, signal);
    if (!answer.ok) return answer;
    const { byteLength } = answer.value;
    return byteLength > 0 && byteLength % HASH_BYTES === 0 ? answer : wrong(`a subtree of ${byteLength} bytes`);
  }

  private async headers(
    url: string,
    path: string,
    query: Readonly<Record<string, string>>,
    max: number,
    signal: AbortSignal,
  ): Promise<DataHubAnswer<readonly FetchedHeader[]>> {
    const answer = await this.bytes(url, path, query, max * HEADER_BYTES, signal);
    if (!answer.ok) return answer;
    const { value } = answer;
    if (value.byteLength === 0 || value.byteLength % HEADER_BYTES !== 0)
      return wrong(`${value.byteLength} bytes of headers (expected 80 for each)`);
    const headers: FetchedHeader[] = [];
    for (let at = 0; at < value.byteLength; at += HEADER_BYTES) {
      const header = value.subarray(at, at + HEADER_BYTES);
      headers.push({ hash: hashHeader(header), header });
    }
    return { ok: true, value: headers };
  }

  private async bytes(
    url: string,
    path: string,
    query: Readonly<Record<string, string>>,
    maxBytes: number,
    signal: AbortSignal,
  ): Promise<DataHubAnswer<Uint8Array>> {
    const first = urlBelow(url, path, query);
    if (first === undefined) return failed('unreachable', 'invalid URL (expected http or https, without credentials)');
    const late = AbortSignal.timeout(this.deadlineMs);
    try {
      const get = { maxRedirects: MAX_REDIRECTS, maxBytes };
      const answer = await this.requests.get(first, get, AbortSignal.any([signal, late]));
      if ('refused' in answer) return failed('unreachable', answer.details);
      if (answer.status === 200) return { ok: true, value: answer.body };
      return failed(answer.status === 404 ? 'not_found' : 'status', `status ${answer.status}`);
    } catch (error) {
      if (signal.aborted) return failed('aborted', 'stopped');
      if (late.aborted) return failed('timeout', 'no answer in time');
      if (error instanceof BodyTooLong) return failed('too_long', error.message);
      return failed('unreachable', codeOf(error));
    }
  }
}

function ancestorQuery(locator: readonly BlockHash[], n: number): Readonly<Record<string, string>> {
  return { block_locator_hashes: locator.slice(0, MAX_LOCATOR).join(''), n: String(n) };
}

type Headers = DataHubAnswer<readonly FetchedHeader[]>;

function one(answer: Headers): DataHubAnswer<FetchedHeader> {
  if (!answer.ok) return answer;
  const [first] = answer.value;
  return first === undefined ? wrong('no header') : { ok: true, value: first };
}

function startingAt(hash: BlockHash, answer: Headers): Headers {
  if (!answer.ok || answer.value[0]?.hash === hash) return answer;
  return wrong(`header ${answer.value[0]?.hash} (expected ${hash})`);
}

/** Not from the target: of a way that is longer than the answer, Teranode sends the end at the common ancestor. */
function endingIn(locator: readonly BlockHash[], answer: Headers): Headers {
  const last = answer.ok ? answer.value.at(-1)?.hash : undefined;
  return last === undefined || locator.includes(last) ? answer : wrong(`headers down to ${last}, not to a known one`);
}

/** Each header is the parent of the one before it. */
function backward(answer: Headers): Headers {
  if (!answer.ok) return answer;
  const { value } = answer;
  const breaks = value.findIndex((each, i) => i > 0 && previousOf(value[i - 1]) !== each.hash);
  return breaks === -1 ? answer : wrong(`header ${breaks} is not the parent of the one before it`);
}

/** Each header is a child of the one before it. */
function forward(answer: Headers): Headers {
  if (!answer.ok) return answer;
  const { value } = answer;
  const breaks = value.findIndex((each, i) => i > 0 && previousOf(each) !== value[i - 1]?.hash);
  return breaks === -1 ? answer : wrong(`header ${breaks} is not a child of the one before it`);
}

function previousOf(fetched: FetchedHeader | undefined): BlockHash | undefined {
  return fetched && parseHeader(fetched.header)?.previousHash;
}

function wrong(details: string): DataHubAnswer<never> {
  return failed('wrong', details);
}

function failed(fault: FetchFault, details: string): DataHubAnswer<never> {
  return { ok: false, fault, details: details.slice(0, MAX_DETAIL_CHARS) };
}
