// Limits what the DHT takes from peers. kad-dht reads messages of 4 MiB, any number of them, and makes objects of all
// that they hold: a few in a row blocked everything else for half a minute and took a GiB. Written for @libp2p/kad-dht
// 16.4.5. Can go when kad-dht has limits per peer.
import type { Connection, PeerInfo, Stream } from '@libp2p/interface';
import type { KadDHT } from '@libp2p/kad-dht';
import type { Multiaddr } from '@multiformats/multiaddr';
import { TokenBuckets } from '../../../lib/token-bucket.ts';
import type { Clock } from '../../../ports/clock.ts';
import { type Counter, gaugeWithBound, type Metrics } from '../../../ports/metrics.ts';
import { missingFunctions, type Patch, type PatchReport } from './report.ts';

export const DHT_PATCH: Patch = {
  library: '@libp2p/kad-dht',
  version: '16.4.5',
  effect: 'peers can send the DHT messages without a limit',
};

/** Requests have some hundred bytes, and a node that searches sends tens of them at once. */
const REQUEST_BYTES_PER_SECOND = 64 * 1024;
const REQUEST_BURST_BYTES = 512 * 1024;
/** The cost of answering, besides the bytes. */
const BYTES_PER_REQUEST = 512;
/** The providers of a key with all their addresses, on a network of some thousand nodes. */
const MAX_ANSWER_BYTES = 512 * 1024;
const MAX_PEERS = 4000;

/** The parts of the DHT that are wrapped; private in its type. */
interface DhtParts {
  readonly rpc: {
    onIncomingStream(stream: Stream, connection: Connection): Promise<void>;
    handleMessage(peerId: { toString(): string }, message: unknown): Promise<unknown>;
  };
  readonly network: { _writeReadMessage(stream: Stream, ...rest: unknown[]): Promise<unknown> };
  /** Of peers that connect; a peer without an address does not enter the routing table. */
  peerInfoMapper(peer: PeerInfo): PeerInfo;
}

interface DhtPatchDependencies {
  readonly clock: Clock;
  readonly metrics: Metrics;
  readonly report: PatchReport;
  /** Addresses that are never dialled: answers name fewer, as the operator's private ones are for this node alone. */
  readonly refusesAddress?: ((address: Multiaddr) => boolean) | undefined;
}

/** Call before the DHT starts. */
export function boundDht(dht: KadDHT, { clock, metrics, report, refusesAddress }: DhtPatchDependencies): void {
  const parts = dht as unknown as DhtParts;
  const ended = metrics.counter(
    'teranode_p2p_dht_streams_ended_total',
    'DHT streams closed because a peer sent too much',
    ['direction'],
  );
  for (const direction of ['in', 'out']) ended.add(0, { direction });
  const budgets = new TokenBuckets<string>(
    { perSecond: REQUEST_BYTES_PER_SECOND, burst: REQUEST_BURST_BYTES },
    MAX_PEERS,
  );
  const gauge = { name: 'teranode_p2p_dht_budgets', help: 'Peers that recently sent requests to the DHT' };
  gaugeWithBound(metrics, gauge, () => budgets.size, MAX_PEERS);
  const missing = missingFunctions({
    'rpc.onIncomingStream': parts.rpc?.onIncomingStream,
    'rpc.handleMessage': parts.rpc?.handleMessage,
    'network._writeReadMessage': parts.network?._writeReadMessage,
  });
  if (missing !== undefined) {
    report.notApplied(DHT_PATCH, missing);
    return;
  }
  const isWithinBudget = (peer: string, bytes: number): boolean => {
    const isWithin = budgets.take(peer, clock.monotonic(), bytes);
    if (!isWithin) ended.add(1, { direction: 'in' });
    return isWithin;
  };
  limitRequests(parts.rpc, isWithinBudget, report);
  limitAnswers(parts.network, ended, report);
  if (refusesAddress === undefined) return;
  if (typeof parts.peerInfoMapper !== 'function') report.notApplied(DHT_PATCH, 'peerInfoMapper');
  parts.peerInfoMapper = (peer) => ({
    ...peer,
    multiaddrs: peer.multiaddrs.filter((address) => !refusesAddress(address)),
  });
}

function limitRequests(
  rpc: DhtParts['rpc'],
  isWithinBudget: (peer: string, bytes: number) => boolean,
  report: PatchReport,
): void {
  const { onIncomingStream, handleMessage } = rpc;
  rpc.onIncomingStream = (stream, connection) => {
    const peer = connection.remotePeer.toString();
    limitBytes(stream, (bytes) => isWithinBudget(peer, bytes), report);
    return onIncomingStream.call(rpc, stream, connection);
  };
  rpc.handleMessage = (peerId, message) =>
    isWithinBudget(peerId.toString(), BYTES_PER_REQUEST)
      ? handleMessage.call(rpc, peerId, message)
      : Promise.reject(new Error('this peer sent too many requests'));
}

function limitAnswers(network: DhtParts['network'], ended: Counter, report: PatchReport): void {
  const { _writeReadMessage: writeRead } = network;
  network._writeReadMessage = (stream, ...rest) => {
    let leftBytes = MAX_ANSWER_BYTES;
    const isShortEnough = (bytes: number): boolean => {
      leftBytes -= bytes;
      if (leftBytes < 0) ended.add(1, { direction: 'out' });
      return leftBytes >= 0;
    };
    limitBytes(stream, isShortEnough, report);
    return writeRead.call(network, stream, ...rest);
  };
}

/**
 * Aborts the stream when `isAllowed` refuses what arrives. Wrapped instead of listened to, as a listener would take the
 * bytes from the reader.
 */
function limitBytes(stream: Stream, isAllowed: (bytes: number) => boolean, report: PatchReport): void {
  const parts = stream as unknown as { onData?(data: { readonly byteLength: number }): void };
  const { onData } = parts;
  if (typeof onData !== 'function') {
    report.notApplied(DHT_PATCH, 'stream.onData');
    return;
  }
  parts.onData = (data) => {
    if (stream.status !== 'open') return;
    if (isAllowed(data.byteLength)) onData.call(stream, data);
    else stream.abort(new Error('the peer sent the DHT more than its limit'));
  };
}
