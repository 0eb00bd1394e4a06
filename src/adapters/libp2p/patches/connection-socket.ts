// The socket beneath a connection: our own address on it, and its bytes each way. libp2p keeps it private, and its
// metrics count per protocol only. Written for libp2p 3.3.11 and @libp2p/tcp 11.0.28. Can go when a connection tells
// its byte counts and its local address.
import type { Socket } from 'node:net';
import type { Connection } from '@libp2p/interface';
import { missingFunctions, type Patch, type PatchReport } from './report.ts';

export const SOCKET_PATCH: Patch = {
  library: 'libp2p',
  version: '3.3.11',
  effect: 'bytes per peer and local addresses are not shown, and connections that fell silent are not closed',
};

type LocalEnd = Partial<Pick<Socket, 'localAddress' | 'localPort'>>;

interface SocketParts {
  send(bytes: { readonly byteLength: number }): boolean;
  /** Takes what arrives. Wrapped instead of listened to: one more listener would cost an event per chunk. */
  onData(bytes: { readonly byteLength: number }): void;
  readonly socket?: LocalEnd;
}

/** Calls back with the size of everything that passes the socket from now on. False when it cannot be counted. */
export function countSocketBytes(
  connection: Connection,
  count: { sent(bytes: number): void; received(bytes: number): void },
  report: PatchReport,
): boolean {
  const { maConn } = connection as unknown as { readonly maConn?: SocketParts };
  const { send, onData } = maConn ?? {};
  const missing = missingFunctions({ 'maConn.send': send, 'maConn.onData': onData });
  if (missing !== undefined || maConn === undefined || send === undefined || onData === undefined) {
    report.notApplied(SOCKET_PATCH, missing ?? 'maConn');
    return false;
  }
  maConn.send = (bytes) => {
    count.sent(bytes.byteLength);
    return send.call(maConn, bytes);
  };
  maConn.onData = (bytes) => {
    count.received(bytes.byteLength);
    onData.call(maConn, bytes);
  };
  return true;
}

/** Our end of the connection; undefined for relayed ones, which have no socket of their own. */
export function localEnd(connection: Pick<Connection, 'remoteAddr'>): LocalEnd | undefined {
  return (connection as unknown as { readonly maConn?: SocketParts }).maConn?.socket;
}
