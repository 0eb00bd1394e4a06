// Answers requests of the peer-address protocol. Rate, size, time and number of streams are limited; a stream that
// breaks a limit, or does not hold a request, is reset.
import type { Stream } from '@libp2p/interface';
import type { PeerId } from '../../../domain/ids.ts';
import { TokenBuckets } from '../../../lib/token-bucket.ts';
import type { Logger } from '../../../ports/log.ts';
import { type Counter, gaugeWithBound, type Metrics } from '../../../ports/metrics.ts';
import { readToEnd } from '../message-stream.ts';
import {
  answersAtOnce,
  encodeAnswer,
  MAX_REQUEST_BYTES,
  parseRequest,
  STREAM_DEADLINE_MS,
} from './address-protocol.ts';

const REQUESTS_PER_MINUTE = 512;
/** Of one peer, over both versions and all its connections. */
export const MAX_STREAMS_PER_PEER = 16;
/** Of all peers. */
const MAX_STREAMS = 256;
const MAX_PEERS = 4000;

export interface AddressServerDependencies {
  readonly log: Logger;
  readonly metrics: Metrics;
  readonly nowMs: () => number;
  /** Addresses that may be told, without the peer ID at their end; the best first. */
  readonly addressesOf: (peerId: PeerId) => Promise<readonly string[]>;
}

export class AddressServer {
  private readonly deps: AddressServerDependencies;
  private readonly requests: Counter;
  private readonly budgets = new TokenBuckets<PeerId>(
    { perSecond: REQUESTS_PER_MINUTE / 60, burst: REQUESTS_PER_MINUTE },
    MAX_PEERS,
  );
  private readonly streams = new Map<PeerId, Set<Stream>>();
  private openStreams = 0;

  constructor(deps: AddressServerDependencies) {
    this.deps = deps;
    const { metrics } = deps;
    this.requests = metrics.counter(
      'teranode_p2p_address_requests_total',
      'Requests for the addresses of a peer, by outcome',
      ['outcome'],
    );
    for (const outcome of ['answered', 'unknown', 'refused', 'failed']) this.requests.add(0, { outcome });
    const budgets = { name: 'teranode_p2p_address_request_budgets', help: 'Peers that recently asked for addresses' };
    gaugeWithBound(metrics, budgets, () => this.budgets.size, MAX_PEERS);
    const streams = { name: 'teranode_p2p_address_request_streams', help: 'Open streams that ask for addresses' };
    gaugeWithBound(metrics, streams, () => this.openStreams, MAX_STREAMS);
  }

  /** Handles one stream. Never rejects. */
  async serve(stream: Stream, requester: PeerId): Promise<void> {
    const isFull = this.openStreams >= MAX_STREAMS || (this.streams.get(requester)?.size ?? 0) >= MAX_STREAMS_PER_PEER;
    if (isFull || !this.budgets.take(requester, this.deps.nowMs())) {
      this.requests.add(1, { outcome: 'refused' });
      stream.abort(new Error('too many requests for addresses'));
      return;
    }
    this.limit(stream, requester);
    try {
      this.requests.add(1, { outcome: await this.answer(stream) });
    } catch (error) {
      this.requests.add(1, { outcome: 'failed' });
      this.deps.log.debug({ err: error, peerId: requester }, 'failed to answer a request for addresses');
      stream.abort(error instanceof Error ? error : new Error('failed to answer'));
    }
  }

  /** Aborts the open streams. */
  stop(): void {
    for (const stream of [...this.streams.values()].flatMap((each) => [...each]))
      stream.abort(new Error('the node stops'));
  }

  private async answer(stream: Stream): Promise<'answered' | 'unknown'> {
    const isComplete = answersAtOnce(stream.protocol)
      ? (bytes: Uint8Array) => parseRequest(bytes) !== undefined
      : () => false;
    const limits = { maxBytes: MAX_REQUEST_BYTES, deadlineMs: STREAM_DEADLINE_MS, isComplete };
    const wanted = parseRequest(await readToEnd(stream, limits));
    // Bytes that follow are dropped; they would otherwise be buffered until the stream ends.
    await stream.closeRead({ signal: AbortSignal.timeout(STREAM_DEADLINE_MS) });
    if (wanted === undefined) throw new SyntaxError('invalid request (expected a peer ID)');
    const addresses = await this.deps.addressesOf(wanted);
    stream.send(encodeAnswer(addresses, stream.protocol));
    await stream.close({ signal: AbortSignal.timeout(STREAM_DEADLINE_MS) });
    return addresses.length > 0 ? 'answered' : 'unknown';
  }

  /** Counts the stream while it is open, and ends it at its deadline: a requester may keep its side open. */
  private limit(stream: Stream, requester: PeerId): void {
    const streams = this.streams.get(requester) ?? new Set();
    this.streams.set(requester, streams.add(stream));
    this.openStreams += 1;
    const late = () => stream.abort(new Error('the request for addresses took too long'));
    const timer = setTimeout(late, STREAM_DEADLINE_MS).unref();
    const closed = () => {
      clearTimeout(timer);
      this.openStreams -= 1;
      streams.delete(stream);
      if (streams.size === 0) this.streams.delete(requester);
    };
    if (stream.status === 'open' || stream.status === 'closing')
      stream.addEventListener('close', closed, { once: true });
    else closed();
  }
}
