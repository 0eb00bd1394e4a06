// Checks whether a DataHub answers. Its URL comes from a peer, so an implementation must not let peers direct our
// requests at anybody else.

/** Why a probe had its outcome; label of a metric. */
export type ProbeReason =
  /** An HTTP status that the check accepts. */
  | 'answered'
  /** Another HTTP status. */
  | 'status'
  /** Not a URL of the kind that is probed. */
  | 'form'
  /** The host, or an address that it resolves to, is not on the public internet. */
  | 'private'
  /** The name does not resolve. */
  | 'name'
  /** No connection, broken TLS, no HTTP. */
  | 'unreachable'
  | 'timeout'
  /** Too many redirects. */
  | 'redirects'
  /** The caller's rule or signal ended the probe. */
  | 'rule'
  | 'aborted';

export interface DataHubVerdict {
  /** `postponed`: the probe has no result. */
  readonly outcome: 'alive' | 'dead' | 'postponed';
  readonly reason: ProbeReason;
  /** For operators; bounded. May contain text of the peer. */
  readonly details: string;
}

/** A host that is about to be dialled. */
export interface ProbeTarget {
  /** Host of the URL, without port. */
  readonly host: string;
  /** Its checked addresses that will be dialled; at least one. */
  readonly addresses: readonly string[];
}

/** Called before each request, also after redirects: `ask`, or the outcome to return instead. Must not throw. */
export type ProbeRule = (target: ProbeTarget) => 'ask' | DataHubVerdict['outcome'];

export interface DataHubProber {
  /** Never throws; settles within two seconds, and at once when the signal aborts. */
  probe(url: string, signal: AbortSignal, rule?: ProbeRule): Promise<DataHubVerdict>;
}
