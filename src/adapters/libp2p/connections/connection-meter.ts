// Bytes of a connection each way, and when they last went: counted at the socket, from the moment the connection is open.
import type { Connection } from '@libp2p/interface';
import type { Clock } from '../../../ports/clock.ts';

export interface ConnectionMeter {
  sentBytes: number;
  receivedBytes: number;
  /** Unix ms. */
  lastSendMs: number | undefined;
  lastReceiveMs: number | undefined;
}

/** The socket beneath a connection; private in its type. */
interface Socket {
  send(bytes: { readonly byteLength: number }): boolean;
  /** Takes what came from the wire. Wrapped instead of listened to: one more listener would cost an event for each chunk. */
  onData(bytes: { readonly byteLength: number }): void;
}

/** Throws TypeError when the library no longer has these parts. */
export function meterConnection(connection: Connection, clock: Clock): ConnectionMeter {
  const meter: ConnectionMeter = { sentBytes: 0, receivedBytes: 0, lastSendMs: undefined, lastReceiveMs: undefined };
  const { maConn } = connection as unknown as { maConn: Socket };
  if (typeof maConn?.send !== 'function' || typeof maConn.onData !== 'function')
    throw new TypeError('a connection has no socket to count at');
  const { send, onData } = maConn;
  maConn.send = (bytes) => {
    meter.sentBytes += bytes.byteLength;
    meter.lastSendMs = clock.now();
    return send.call(maConn, bytes);
  };
  maConn.onData = (bytes) => {
    meter.receivedBytes += bytes.byteLength;
    meter.lastReceiveMs = clock.now();
    onData.call(maConn, bytes);
  };
  return meter;
}
