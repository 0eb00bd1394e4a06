// What the DHT takes from others. kad-dht reads messages of 4 MiB, as many as come, and makes objects of all that is in them: some of those in a row held up everything
// else for half a minute and took a GiB. Here each peer has a rate for what it asks, and an answer to our own question has a bound.
import type { Connection, Stream } from '@libp2p/interface';
import type { KadDHT } from '@libp2p/kad-dht';
import { LRUCache } from 'lru-cache';
import type { Clock } from '../../../ports/clock.ts';
import type { Metrics } from '../../../ports/metrics.ts';

/** Requests have some hundred bytes, and a node that looks around sends tens of them at once. */
const REQUEST_BYTES_A_SECOND = 64 * 1024;
const REQUEST_BURST_BYTES = 512 * 1024;
/** What answering costs besides its bytes. */
const BYTES_A_REQUEST = 512;
/** The providers of a key, all with their addresses, of a network with some thousand nodes. */
const MAX_ANSWER_BYTES = 512 * 1024;
const MAX_PEERS = 4000;

/** The parts of the class that are wrapped; private in its type. */
interface DhtInternals {
  readonly rpc: {
    onIncomingStream(stream: Stream, connection: Connection): Promise<void>;
    handleMessage(peerId: { toString(): string }, message: unknown): Promise<unknown>;
  };
  readonly network: { _writeReadMessage(stream: Stream, ...rest: unknown[]): Promise<unknown> };
}

interface Budget {
  bytes: number;
  atMs: number;
}

/** Before the DHT starts. Throws TypeError when the library no longer has the parts that are wrapped. */
export function boundDht(dht: KadDHT, { clock, metrics }: { readonly clock: Clock; readonly metrics: Metrics }): void {
  const { rpc, network } = checked(dht);
  const refused = metrics.counter('teranode_p2p_dht_streams_ended_total', 'Streams of the DHT that carried too much', [
    'direction',
  ]);
  for (const direction of ['in', 'out']) refused.add(0, { direction });
  const budgets = new LRUCache<string, Budget>({ max: MAX_PEERS });
  metrics.gauge('teranode_p2p_dht_budgets', 'Peers that asked something of the DHT lately', () => budgets.size);
  metrics.gauge('teranode_p2p_dht_budgets_bound', 'Such peers remembered at most', () => MAX_PEERS);
  const takes = (peer: string, bytes: number): boolean => {
    const nowMs = clock.monotonic();
    const budget = budgets.get(peer) ?? { bytes: REQUEST_BURST_BYTES, atMs: nowMs };
    const refilled = budget.bytes + ((nowMs - budget.atMs) / 1000) * REQUEST_BYTES_A_SECOND;
    budget.bytes = Math.min(REQUEST_BURST_BYTES, refilled) - bytes;
    budget.atMs = nowMs;
    budgets.set(peer, budget);
    if (budget.bytes >= 0) return true;
    budget.bytes = 0;
    refused.add(1, { direction: 'in' });
    return false;
  };
  const { onIncomingStream, handleMessage } = rpc;
  rpc.onIncomingStream = (stream, connection) => {
    const peer = connection.remotePeer.toString();
    countBytes(stream, (bytes) => takes(peer, bytes));
    return onIncomingStream.call(rpc, stream, connection);
  };
  rpc.handleMessage = (peerId, message) =>
    takes(peerId.toString(), BYTES_A_REQUEST)
      ? handleMessage.call(rpc, peerId, message)
      : Promise.reject(new Error('too many requests of this peer'));
  const { _writeReadMessage: writeRead } = network;
  network._writeReadMessage = (stream, ...rest) => {
    let left = MAX_ANSWER_BYTES;
    countBytes(stream, (bytes) => {
      left -= bytes;
      if (left < 0) refused.add(1, { direction: 'out' });
      return left >= 0;
    });
    return writeRead.call(network, stream, ...rest);
  };
}

/** Ends the stream as soon as `isTaken` objects; what was read before is not listened to, as that would take it from its reader. */
function countBytes(stream: Stream, isTaken: (bytes: number) => boolean): void {
  const parts = stream as unknown as { onData(data: { readonly byteLength: number }): void };
  if (typeof parts.onData !== 'function') throw new TypeError('a stream has no bytes to count');
  const { onData } = parts;
  parts.onData = (data) => {
    if (stream.status !== 'open') return;
    if (isTaken(data.byteLength)) onData.call(stream, data);
    else stream.abort(new Error('more than the DHT takes'));
  };
}

function checked(dht: KadDHT): DhtInternals {
  const internals = dht as unknown as DhtInternals;
  const { rpc, network } = internals;
  const areThere = [rpc?.onIncomingStream, rpc?.handleMessage, network?._writeReadMessage].every(
    (part) => typeof part === 'function',
  );
  if (!areThere) throw new TypeError('the DHT has not the parts that read messages');
  return internals;
}
