// The direct stream of a Teranode: one message a stream, ended by closing the writing side. Sizes and times are bounded here, because a
// peer may send nothing, a byte a second, or more than memory.
import type { Stream } from '@libp2p/interface';
import { P2PError } from '../../errors.ts';
import type { DirectStream } from '../../ports/p2p-node.ts';
import type { PeerId } from '../../wire/ids.ts';

/** Protocol of the direct stream: no leading slash, fixed, independent of the user agent. */
export const DIRECT_PROTOCOL = 'teranode/bitcoin/1.0.0';

/** Wraps a negotiated inbound stream; `received` counts bytes as they come. */
export function directStream(stream: Stream, peerId: PeerId, received: (bytes: number) => void): DirectStream {
  return {
    peerId,
    readToEnd: (maxBytes, deadlineMs) => readToEnd(stream, maxBytes, deadlineMs, received),
    close: () => stream.close({ signal: AbortSignal.timeout(2000) }),
    abort: (reason) => stream.abort(reason),
  };
}

async function readToEnd(
  stream: Stream,
  maxBytes: number,
  deadlineMs: number,
  received: (bytes: number) => void,
): Promise<Uint8Array> {
  const chunks: Uint8Array[] = [];
  let total = 0;
  let failure: P2PError | undefined;
  const end = (error: P2PError) => {
    failure = error;
    stream.abort(error);
  };
  const timer = setTimeout(
    () => end(new P2PError('TIMEOUT', 'the direct stream did not end in time', { details: { deadlineMs, total } })),
    deadlineMs,
  );
  try {
    for await (const chunk of stream) {
      total += chunk.byteLength;
      received(chunk.byteLength);
      if (total > maxBytes) {
        end(new P2PError('MESSAGE_TOO_LARGE', 'the direct stream carries too much', { details: { maxBytes } }));
        break;
      }
      chunks.push(chunk.subarray());
    }
  } catch (error) {
    throw failure ?? new P2PError('PEER_UNREACHABLE', 'the direct stream broke', { cause: error });
  } finally {
    clearTimeout(timer);
  }
  if (failure !== undefined) throw failure;
  return Buffer.concat(chunks);
}

/** Sends one message and closes the writing side; settles within the signal's time. */
export async function sendOnStream(stream: Stream, bytes: Uint8Array, signal: AbortSignal): Promise<void> {
  try {
    if (!stream.send(bytes)) await stream.onDrain({ signal });
    await stream.close({ signal });
  } catch (error) {
    stream.abort(error instanceof Error ? error : new Error('send failed'));
    throw error;
  }
}
