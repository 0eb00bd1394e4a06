// The direct stream of a Teranode: one message per stream, ended by closing the writing side.
import type { Connection, Stream } from '@libp2p/interface';
import type { PeerId } from '../../domain/ids.ts';
import type { Logger } from '../../ports/log.ts';
import type { DirectStream, DirectStreamHandler } from '../../ports/p2p-node.ts';
import type { TeranodeLibp2p } from './libp2p-options.ts';
import { readToEnd } from './message-stream.ts';
import { peerIdText } from './peer-ids.ts';

/** Protocol ID of the direct stream: no leading slash, fixed, independent of the user agent. */
export const DIRECT_PROTOCOL = 'teranode/bitcoin/1.0.0';

export const SEND_DEADLINE_MS = 10_000;
/** Parallel direct streams per connection: a handshake is one short stream, and slow ones must not block it. */
const MAX_DIRECT_STREAMS = 64;

/** Before libp2p starts. */
export async function serveDirectStream(
  libp2p: Pick<TeranodeLibp2p, 'handle'>,
  handler: DirectStreamHandler,
  { log, received }: { readonly log: Logger; readonly received: (bytes: number) => void },
): Promise<void> {
  const serve = async (stream: Stream, connection: Connection) => {
    try {
      await handler(directStream(stream, peerIdText(connection.remotePeer), received));
      if (stream.status === 'open') await stream.close({ signal: AbortSignal.timeout(SEND_DEADLINE_MS) });
    } catch (error) {
      stream.abort(error instanceof Error ? error : new Error('direct stream handler failed'));
      log.debug({ err: error }, 'direct stream failed');
    }
  };
  await libp2p.handle(DIRECT_PROTOCOL, serve, {
    maxInboundStreams: MAX_DIRECT_STREAMS,
    runOnLimitedConnection: true,
  });
}

/** Wraps a negotiated inbound stream; `received` is called with the size of each chunk. */
function directStream(stream: Stream, peerId: PeerId, received: (bytes: number) => void): DirectStream {
  return {
    peerId,
    readToEnd: (maxBytes, deadlineMs) => readToEnd(stream, { maxBytes, deadlineMs, received }),
    close: () => stream.close({ signal: AbortSignal.timeout(2000) }),
    abort: (reason) => stream.abort(reason),
  };
}
