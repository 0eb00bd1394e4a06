// One message per stream, ended by closing the writing side. Size and time are limited here, because a peer may send
// nothing, one byte per second, or more than fits in memory.
import type { Stream } from '@libp2p/interface';
import { P2PError } from '../../lib/errors.ts';

export interface ReadLimits {
  readonly maxBytes: number;
  readonly deadlineMs: number;
  /** Called with the size of each chunk. */
  readonly received?: (bytes: number) => void;
  /** True when what came so far is the whole message, though the other side has not closed. */
  readonly isComplete?: (bytes: Uint8Array) => boolean;
}

/**
 * Uses the stream's events: a short message has often ended before its handler is called, which the stream's async
 * iterator misses, and the end was signalled while bytes were still buffered. So the message is complete when the other
 * side closed and the buffer is empty.
 */
export function readToEnd(stream: Stream, limits: ReadLimits): Promise<Uint8Array> {
  const { maxBytes, deadlineMs, received, isComplete } = limits;
  const { promise, resolve, reject } = Promise.withResolvers<Uint8Array>();
  const chunks: Uint8Array[] = [];
  let total = 0;
  const fail = (error: P2PError) => {
    reject(error);
    stream.abort(error);
  };
  const onMessage = ({ data }: { data: { byteLength: number; subarray(): Uint8Array } }) => {
    total += data.byteLength;
    received?.(data.byteLength);
    if (total > maxBytes)
      fail(
        new P2PError('MESSAGE_TOO_LARGE', `the message on the stream is longer than ${maxBytes} bytes`, {
          details: { maxBytes },
        }),
      );
    else chunks.push(data.subarray());
    if (isComplete?.(Buffer.concat(chunks))) resolve(Buffer.concat(chunks));
    onEnd();
  };
  const onEnd = () => {
    if (stream.remoteWriteStatus === 'closed' && stream.readBufferLength === 0) resolve(Buffer.concat(chunks));
  };
  const onClose = ({ error }: { error?: Error }) => {
    if (error === undefined) resolve(Buffer.concat(chunks));
    else reject(new P2PError('PEER_UNREACHABLE', 'the stream closed with an error', { cause: error }));
  };
  const late = () =>
    fail(
      new P2PError('TIMEOUT', `the stream did not end within ${deadlineMs} ms`, {
        details: { deadlineMs, total },
      }),
    );
  const timer = setTimeout(late, deadlineMs);
  stream.addEventListener('remoteCloseWrite', onEnd);
  stream.addEventListener('close', onClose);
  stream.addEventListener('message', onMessage);
  onEnd();
  return promise.finally(() => {
    clearTimeout(timer);
    stream.removeEventListener('remoteCloseWrite', onEnd);
    stream.removeEventListener('close', onClose);
    stream.removeEventListener('message', onMessage);
  });
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
