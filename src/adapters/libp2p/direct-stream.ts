// The direct stream of a Teranode: one message per stream, ended by closing the writing side.
import type { Stream } from '@libp2p/interface';
import type { PeerId } from '../../domain/ids.ts';
import type { DirectStream } from '../../ports/p2p-node.ts';
import { readToEnd } from './message-stream.ts';

/** Protocol ID of the direct stream: no leading slash, fixed, independent of the user agent. */
export const DIRECT_PROTOCOL = 'teranode/bitcoin/1.0.0';

/** Wraps a negotiated inbound stream; `received` is called with the size of each chunk. */
export function directStream(stream: Stream, peerId: PeerId, received: (bytes: number) => void): DirectStream {
  return {
    peerId,
    readToEnd: (maxBytes, deadlineMs) => readToEnd(stream, { maxBytes, deadlineMs, received }),
    close: () => stream.close({ signal: AbortSignal.timeout(2000) }),
    abort: (reason) => stream.abort(reason),
  };
}
