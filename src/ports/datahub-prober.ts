// How a DataHub is asked whether it lives. The URL comes from a peer: an implementation sees to it that nobody else is hit through us.

/** Why a verdict is what it is; a closed set, fit for a metric. */
export type ProbeReason =
  /** A status under 500. */
  | 'answered'
  /** A status of 500 and more. */
  | 'status'
  /** No URL of the kind that is asked. */
  | 'form'
  /** The host, or an address that it resolves to, is not of the public internet. */
  | 'private'
  /** The name does not resolve. */
  | 'name'
  /** No connection, broken TLS, no HTTP. */
  | 'unreachable'
  | 'timeout'
  /** Redirected too often. */
  | 'redirects'
  /** Nothing was asked, or not to the end, because the caller's rule or signal said so. */
  | 'rule'
  | 'aborted';

export interface DataHubVerdict {
  /** `postponed`: nothing was found out. */
  readonly outcome: 'alive' | 'dead' | 'postponed';
  readonly reason: ProbeReason;
  /** For operators; bounded. May hold text of the peer. */
  readonly details: string;
}

/** Who is about to be dialled. */
export interface DialTarget {
  /** Plain host of the URL. */
  readonly host: string;
  /** Addresses of it that will be dialled, already checked; at least one. */
  readonly addresses: readonly string[];
}

/** Asked before each request, those after redirects included: go on, or take this as the outcome. Must not throw. */
export type DialRule = (target: DialTarget) => 'ask' | DataHubVerdict['outcome'];

export interface DataHubProber {
  /** Never throws; settles within two seconds, and at once when the signal is aborted. Without a rule, everybody is asked. */
  probe(url: string, signal: AbortSignal, rule?: DialRule): Promise<DataHubVerdict>;
}
