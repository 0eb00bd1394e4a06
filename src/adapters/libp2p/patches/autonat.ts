// What AutoNAT found so far, and tests when they are wanted. js-libp2p has an address tested only by peers that connect
// after the address is known, keeps failures to itself until eight networks have failed, and waits without an end for
// a peer that does not answer: three such peers would end all tests. It also takes a peer's word for having reached us,
// although the peer was to prove it: by bringing the nonce of the question over a connection that it opened. Written for
// @libp2p/autonat-v2 2.0.15. Can go when it tests again over open connections, reports failures, uses the deadline that
// it makes, and believes proofs only.
import type { Connection, Stream } from '@libp2p/interface';
import { isRelayed } from '../addresses.ts';
import { missingFunctions, type Patch, type PatchReport } from './report.ts';

export const AUTONAT_PATCH: Patch = {
  library: '@libp2p/autonat-v2',
  version: '2.0.15',
  effect: 'addresses are tested only by peers that connect later, and this node never knows that it is private',
};

/** Tests of one address by peers of different networks. */
export interface DialResults {
  readonly success: number;
  readonly failure: number;
}

export interface AutonatControl {
  /** Asks the peer to dial those of our public addresses that its network has not tested. */
  ask(connection: Connection): Promise<void>;
  results(address: string): DialResults | undefined;
  /** Begins anew with an address. */
  forget(address: string): void;
}

/** As in js-libp2p, where it has no effect. A Go peer takes up to 13 s. */
const ANSWER_DEADLINE_MS = 30_000;

type AskPeer = (
  connection: Connection,
  segment: string,
  nonce: bigint,
  options: { readonly signal?: AbortSignal },
) => Promise<void>;

interface ClientParts {
  askPeerToVerify: AskPeer;
  handleDialBackStream(stream: Stream, connection: Connection): Promise<void>;
  confirmAddress(results: { success: number }): void;
  /** Of questions that no dial has answered. */
  readonly nonces: Set<bigint>;
  verifyExternalAddresses(connection: Connection): Promise<void>;
  readonly dialResults: Map<string, DialResults>;
}

/** undefined when a part is missing. */
export function autonatControl(service: unknown, report: PatchReport): AutonatControl | undefined {
  const { client } = service as { readonly client?: Partial<ClientParts> };
  const parts = client ?? {};
  const missing = missingFunctions({
    'client.askPeerToVerify': parts.askPeerToVerify,
    'client.verifyExternalAddresses': parts.verifyExternalAddresses,
    'client.handleDialBackStream': parts.handleDialBackStream,
    'client.confirmAddress': parts.confirmAddress,
    'client.nonces.has': parts.nonces?.has,
    'client.dialResults.get': parts.dialResults?.get,
    'client.dialResults.delete': parts.dialResults?.delete,
  });
  if (missing !== undefined || client === undefined) {
    report.notApplied(AUTONAT_PATCH, missing ?? 'client');
    return undefined;
  }
  return control(client as ClientParts);
}

function control(client: ClientParts): AutonatControl {
  const { askPeerToVerify, handleDialBackStream, confirmAddress, verifyExternalAddresses, dialResults, nonces } =
    client;
  client.handleDialBackStream = async (stream, connection) => {
    if (connection.direction === 'inbound' && !isRelayed(connection.remoteAddr))
      return await handleDialBackStream.call(client, stream, connection);
    stream.abort(new Error('not a dial back'));
  };
  client.askPeerToVerify = async (connection, segment, nonce, options) => {
    const deadline = AbortSignal.timeout(ANSWER_DEADLINE_MS);
    const signal = options.signal === undefined ? deadline : AbortSignal.any([options.signal, deadline]);
    const asking = Object.assign(Object.create(client), {
      confirmAddress: (results: { success: number }) => {
        if (nonces.has(nonce)) results.success -= 1;
        else confirmAddress.call(client, results);
      },
    });
    await askPeerToVerify.call(asking, connection, segment, nonce, { ...options, signal });
  };
  return {
    ask: (connection) => verifyExternalAddresses.call(client, connection),
    results: (address) => dialResults.get(address),
    forget: (address) => void dialResults.delete(address),
  };
}
