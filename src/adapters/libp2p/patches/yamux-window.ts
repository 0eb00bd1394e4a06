// Fewer window updates: js-libp2p's yamux answers every data frame with one, which costs a write to the socket each. Go's sends one when
// half of the window is used; so do we. docs/adr/0004.
import { StreamState, YamuxStream } from '@libp2p/yamux/stream';

/** The fields of a stream that decide; private to the class, stable on the wire protocol's terms. */
interface WindowState {
  readonly state: StreamState;
  readonly recvWindow: number;
  readonly recvWindowCapacity: number;
}

let isInstalled = false;

/** Replaces the stream's own rule once for the process. Updates that carry a flag (opening a stream) go out as before. */
export function installLazyWindowUpdates(): void {
  if (isInstalled) return;
  isInstalled = true;
  const send = YamuxStream.prototype.sendWindowUpdate;
  YamuxStream.prototype.sendWindowUpdate = function sendWindowUpdate(this: YamuxStream): void {
    const { state, recvWindow, recvWindowCapacity } = this as unknown as WindowState;
    if (state === StreamState.Established && recvWindowCapacity > recvWindow / 2) return;
    send.call(this);
  };
}
