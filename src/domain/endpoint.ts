// A URL that a peer announces, with what the peer says about it and what a check found.
import type { PeerId } from './ids.ts';
import type { FeePolicy, Storage } from './node-status.ts';

/** `datahub` serves blocks and subtrees, `propagation` takes transactions. */
export type EndpointKind = 'datahub' | 'propagation';

/** Each undefined while nobody knows. */
export interface EndpointCheck {
  /** Whether the URL leads to the public internet. */
  readonly public: boolean | undefined;
  /** Whether an HTTP server answers there. */
  readonly answers: boolean | undefined;
  /** DataHubs only: whether it has the genesis block of this network. */
  readonly sameGenesis: boolean | undefined;
  /** Of what was found last, such as `ok`, `not checked yet`, `timeout`. */
  readonly reason: string;
  /** Unix ms; undefined before the first check. */
  readonly atMs: number | undefined;
}

export interface NetworkEndpoint {
  readonly kind: EndpointKind;
  readonly url: string;
  readonly peerId: PeerId;
  readonly isConnected: boolean;
  readonly clientName: string | undefined;
  readonly version: string | undefined;
  readonly storage: Storage | undefined;
  readonly feePolicy: FeePolicy | undefined;
  /** BSV per kilobyte. */
  readonly minMiningTxFee: number | undefined;
  /** As the peer claimed last. */
  readonly height: number | undefined;
  /** Unix ms of the peer's last valid message. */
  readonly lastSeenMs: number | undefined;
  readonly checked: EndpointCheck;
}
