// Inbound direct streams, each with one message. A peer may send nothing, one byte per second or without end, on as
// many streams as it likes: time, bytes and number of streams are bounded, and one peer's streams do not displace those
// of others.

import type { PeerId } from '../domain/ids.ts';
import { P2PError } from '../lib/errors.ts';
import type { DirectStream, DirectStreamHandler } from '../ports/p2p-node.ts';
import { decodeHandshake, type HandshakeMessage } from '../wire/handshake.ts';
import { MAX_DIRECT_STREAM_BYTES } from '../wire/message-sizes.ts';
import type { HandshakeCounters, StreamFailure } from './counters.ts';

/** A message is one packet; the slowest honest connection needs a round trip or two. */
const READ_DEADLINE_MS = 4000;
/** At most 4 MiB in all, and more streams than peers that may connect within a second. */
const MAX_OPEN = 256;
/** A version and a verack, and each once more after a lost answer. */
const MAX_OPEN_OF_PEER = 4;

export interface StreamIntakeDependencies {
  readonly counters: HandshakeCounters;
  /** Receives a message whose PeerID has not been compared with the sender yet; must not throw. */
  readonly take: (message: HandshakeMessage, peerId: PeerId) => void;
  /** Called for a hash in a form that no implementation writes. */
  readonly hashMalformed: (peerId: PeerId) => void;
}

interface OpenStream {
  readonly stream: DirectStream;
  isEvicted: boolean;
}

export class StreamIntake {
  private readonly deps: StreamIntakeDependencies;
  /** Oldest first. */
  private readonly open = new Set<OpenStream>();
  private stopped = false;

  constructor(deps: StreamIntakeDependencies) {
    this.deps = deps;
    deps.counters.bounded('streams', MAX_OPEN, () => this.open.size);
  }

  /** Never rejects; the stream is always closed or aborted. */
  readonly handler: DirectStreamHandler = async (stream) => {
    if (this.stopped || this.openOf(stream.peerId) >= MAX_OPEN_OF_PEER) {
      this.deps.counters.received('unknown', 'stream', 'refused');
      stream.abort(new P2PError('PEER_UNREACHABLE', 'the peer has too many direct streams open'));
      return;
    }
    const entry: OpenStream = { stream, isEvicted: false };
    this.open.add(entry);
    if (this.open.size > MAX_OPEN) this.evictOldest();
    try {
      const bytes = await this.bytesOf(entry);
      if (bytes === undefined) return;
      this.read(bytes, stream.peerId);
      await stream.close();
    } catch (error) {
      stream.abort(asError(error));
    } finally {
      this.open.delete(entry);
    }
  };

  stop(): void {
    this.stopped = true;
    for (const { stream } of this.open) stream.abort(new P2PError('NODE_NOT_STARTED', 'the node is stopping'));
  }

  /** undefined when there is no message; the stream is aborted then. */
  private async bytesOf(entry: OpenStream): Promise<Uint8Array | undefined> {
    const { stream } = entry;
    try {
      return await stream.readToEnd(MAX_DIRECT_STREAM_BYTES, READ_DEADLINE_MS);
    } catch (error) {
      const failure = entry.isEvicted ? 'pushed_out' : failureOf(error);
      if (!this.stopped) this.deps.counters.received('unknown', 'stream', failure);
      stream.abort(asError(error));
      return undefined;
    }
  }

  private openOf(peerId: PeerId): number {
    let count = 0;
    for (const { stream } of this.open) if (stream.peerId === peerId) count += 1;
    return count;
  }

  /** A message is read at once, so the stream open for longest is the least likely to carry one. */
  private evictOldest(): void {
    const [oldest] = this.open;
    if (oldest === undefined) return;
    oldest.isEvicted = true;
    this.open.delete(oldest);
    oldest.stream.abort(new P2PError('PEER_UNREACHABLE', 'too many direct streams are open'));
  }

  private read(bytes: Uint8Array, peerId: PeerId): void {
    const { counters } = this.deps;
    if (this.stopped) return;
    if (bytes.byteLength === 0) {
      counters.received('unknown', 'stream', 'empty');
      return;
    }
    const decoded = decodeHandshake(bytes);
    if (decoded.ok) {
      this.deps.take(decoded.message, peerId);
      return;
    }
    counters.received('unknown', 'stream', 'malformed');
    if (decoded.fault.code === 'hash_form') this.deps.hashMalformed(peerId);
  }
}

function failureOf(error: unknown): StreamFailure {
  const code = error instanceof P2PError ? error.code : undefined;
  if (code === 'MESSAGE_TOO_LARGE') return 'too_large';
  return code === 'TIMEOUT' ? 'timeout' : 'broken';
}

function asError(thrown: unknown): Error {
  return thrown instanceof Error ? thrown : new Error('direct stream failed');
}
