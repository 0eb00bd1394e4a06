// Requests something small from a DataHub, as the Go service does: by wire.md the genesis block, by today.md the best
// block header. Only the status is read.
import type { BlockHash } from '../../domain/ids.ts';
import type { DataHubProber, DataHubVerdict, ProbeReason, ProbeRule } from '../../ports/datahub-prober.ts';
import { CheckedRequests, codeOf, type Refused, urlBelow } from './checked-requests.ts';
import type { ResolveName } from './name-resolver.ts';

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
const MAX_DETAIL_CHARS = 200;

export class HttpDataHubProber implements DataHubProber {
  private readonly requests: CheckedRequests;
  private readonly options: HttpDataHubProberOptions;

  /** `resolve`: for tests. */
  constructor(deps: { readonly resolve?: ResolveName }, options: HttpDataHubProberOptions) {
    this.requests = new CheckedRequests(deps, options);
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
    const { check } = this.options;
    let left: DataHubVerdict['outcome'] = 'dead';
    const stop: (target: Parameters<ProbeRule>[0]) => Refused | undefined = (target) => {
      const leave = rule(target);
      if (leave === 'ask') return undefined;
      left = leave;
      return { refused: 'rule', details: `not requested: ${target.host}` };
    };
    const answer = await this.requests.get(first, { maxRedirects: check.maxRedirects, maxBytes: 0, stop }, signal);
    if ('refused' in answer) return verdict(left, answer.refused, answer.details);
    const details = `status ${answer.status}`;
    return check.answers(answer.status) ? verdict('alive', 'answered', details) : verdict('dead', 'status', details);
  }
}

function verdict(outcome: DataHubVerdict['outcome'], reason: ProbeReason, details: string): DataHubVerdict {
  return { outcome, reason, details: details.slice(0, MAX_DETAIL_CHARS) };
}
