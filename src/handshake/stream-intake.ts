// Inbound direct streams, each with one message. A peer may send nothing, a byte a second or without end, on as many streams as it likes: what
// that costs is bounded in time, bytes and number, and never at the cost of the other peers.

import type { PeerId } from '../domain/ids.ts';
import { P2PError } from '../lib/errors.ts';
import type { DirectStream, DirectStreamHandler } from '../ports/p2p-node.ts';
import { decodeHandshake, type HandshakeMessage, MAX_HANDSHAKE_BYTES } from '../wire/handshake.ts';
import type { StreamFailure, Tally } from './tally.ts';

/** A message is one packet; the slowest honest link needs a round trip or two. */
const READ_DEADLINE_MS = 4000;
/** 4 MiB at most, and as many messages at once as peers may connect within a second. */
const MAX_OPEN = 256;
/** A version and a verack, each of them once more after a lost answer. */
const MAX_OPEN_OF_PEER = 4;

export interface StreamIntakeDependencies {
  readonly tally: Tally;
  /** Takes a message whose sender is not yet compared with its peer id; must not throw. */
  readonly take: (message: HandshakeMessage, peerId: PeerId) => void;
  /** A hash in a form that no implementation writes. */
  readonly hashMalformed: (peerId: PeerId) => void;
}

interface OpenStream {
  readonly stream: DirectStream;
  isPushedOut: boolean;
}

export class StreamIntake {
  private readonly deps: StreamIntakeDependencies;
  /** Opened longest ago first. */
  private readonly open = new Set<OpenStream>();
  private stopped = false;

  constructor(deps: StreamIntakeDependencies) {
    this.deps = deps;
    deps.tally.bounded('streams', MAX_OPEN, () => this.open.size);
  }

  /** Never rejects; the stream is closed or aborted in the end. */
  readonly handler: DirectStreamHandler = async (stream) => {
    if (this.stopped || this.openOf(stream.peerId) >= MAX_OPEN_OF_PEER) {
      this.deps.tally.received('unknown', 'stream', 'refused');
      stream.abort(new P2PError('PEER_UNREACHABLE', 'the peer has too many direct streams open'));
      return;
    }
    const place: OpenStream = { stream, isPushedOut: false };
    this.open.add(place);
    if (this.open.size > MAX_OPEN) this.pushOutOldest();
    try {
      const bytes = await this.bytesOf(place);
      if (bytes === undefined) return;
      this.read(bytes, stream.peerId);
      await stream.close();
    } catch (error) {
      stream.abort(asError(error));
    } finally {
      this.open.delete(place);
    }
  };

  stop(): void {
    this.stopped = true;
    for (const { stream } of this.open) stream.abort(new P2PError('NODE_NOT_STARTED', 'the node stops'));
  }

  /** undefined when there is no message; the stream is aborted then. */
  private async bytesOf(place: OpenStream): Promise<Uint8Array | undefined> {
    const { stream } = place;
    try {
      return await stream.readToEnd(MAX_HANDSHAKE_BYTES, READ_DEADLINE_MS);
    } catch (error) {
      const failure = place.isPushedOut ? 'pushed_out' : failureOf(error);
      if (!this.stopped) this.deps.tally.received('unknown', 'stream', failure);
      stream.abort(asError(error));
      return undefined;
    }
  }

  private openOf(peerId: PeerId): number {
    let count = 0;
    for (const { stream } of this.open) if (stream.peerId === peerId) count += 1;
    return count;
  }

  /** A message is read in no time, so what is open longest is the least likely to become one. */
  private pushOutOldest(): void {
    const [oldest] = this.open;
    if (oldest === undefined) return;
    oldest.isPushedOut = true;
    this.open.delete(oldest);
    oldest.stream.abort(new P2PError('PEER_UNREACHABLE', 'too many direct streams are open'));
  }

  private read(bytes: Uint8Array, peerId: PeerId): void {
    const { tally } = this.deps;
    if (this.stopped) return;
    if (bytes.byteLength === 0) {
      tally.received('unknown', 'stream', 'empty');
      return;
    }
    const decoded = decodeHandshake(bytes);
    if (decoded.ok) {
      this.deps.take(decoded.message, peerId);
      return;
    }
    tally.received('unknown', 'stream', 'malformed');
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
