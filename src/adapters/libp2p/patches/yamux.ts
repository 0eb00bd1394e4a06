// Fewer window updates: js-libp2p's yamux answers every data frame with one, each a write to the socket. Go sends one
// when half of the window is used; so do we. docs/adr/0004-changes-to-js-libp2p.md. Written for @libp2p/yamux 8.0.3.
// Can go when yamux waits for half of the window.
import type { StreamMuxerFactory } from '@libp2p/interface';
import { StreamState } from '@libp2p/yamux/stream';
import { missingFunctions, type Patch, type PatchReport } from './report.ts';

export const YAMUX_PATCH: Patch = {
  library: '@libp2p/yamux',
  version: '8.0.3',
  effect: 'every data frame is answered with a window update, at more CPU per message',
};

/** Makes all streams of a connection; private in its type. */
interface MuxerParts {
  _newStream(...args: unknown[]): StreamParts;
}

/** The fields of a stream that decide; private in its type, fixed by the protocol. */
interface StreamParts {
  sendWindowUpdate(): void;
  readonly state: StreamState;
  readonly recvWindow: number;
  readonly recvWindowCapacity: number;
}

/**
 * A factory whose streams send a window update when half of the window is used. Updates that carry a flag (opening a
 * stream) go out at once.
 */
export function withLazyWindowUpdates<C>(
  create: (components: C) => StreamMuxerFactory,
  report: PatchReport,
): (components: C) => StreamMuxerFactory {
  return (components) => {
    const factory = create(components);
    const createStreamMuxer = factory.createStreamMuxer.bind(factory);
    factory.createStreamMuxer = (connection) => {
      const muxer = createStreamMuxer(connection);
      patchMuxer(muxer as unknown as MuxerParts, report);
      return muxer;
    };
    return factory;
  };
}

function patchMuxer(muxer: MuxerParts, report: PatchReport): void {
  const { _newStream: newStream } = muxer;
  if (typeof newStream !== 'function') {
    report.notApplied(YAMUX_PATCH, 'muxer._newStream');
    return;
  }
  muxer._newStream = (...args) => {
    const stream = newStream.apply(muxer, args);
    const missing = missingParts(stream);
    if (missing === undefined) patchStream(stream);
    else report.notApplied(YAMUX_PATCH, missing);
    return stream;
  };
}

function missingParts({ sendWindowUpdate, state, recvWindow, recvWindowCapacity }: StreamParts): string | undefined {
  const missing = missingFunctions({ 'stream.sendWindowUpdate': sendWindowUpdate });
  if (missing !== undefined) return missing;
  const numbers = { state, recvWindow, recvWindowCapacity };
  const wrong = Object.entries(numbers).find(([, value]) => typeof value !== 'number');
  return wrong && `stream.${wrong[0]}`;
}

function patchStream(stream: StreamParts): void {
  const { sendWindowUpdate } = stream;
  stream.sendWindowUpdate = () => {
    if (stream.state === StreamState.Established && stream.recvWindowCapacity > stream.recvWindow / 2) return;
    sendWindowUpdate.call(stream);
  };
}
