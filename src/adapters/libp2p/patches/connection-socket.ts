// The socket beneath a connection: our own address on it, and its bytes each way. libp2p keeps it private, and its
// metrics count per protocol only. Written for libp2p 3.3.11 and @libp2p/tcp 11.0.28. Can go when a connection tells
// its byte counts and its local address.
import type { Socket } from 'node:net';
import type { Connection } from '@libp2p/interface';
import { missingFunctions, type Patch, type PatchReport } from './report.ts';
import { securedOnSocket } from './tls-patch.ts';

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

interface ByteCount {
  sent(bytes: number): void;
  received(bytes: number): void;
}

/** Calls back with the size of everything that passes the socket from now on. False when it cannot be counted. */
export function countSocketBytes(connection: Connection, count: ByteCount, report: PatchReport): boolean {
  const { maConn } = connection as unknown as { readonly maConn?: SocketParts };
  const tls = maConn && securedOnSocket(maConn);
  if (tls !== undefined) return countTlsBytes(tls.stream as unknown as Partial<SocketParts>, tls.socket, count, report);
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

/**
 * TLS reads and writes the socket itself: its stream says when, and the socket how much. What TLS has still to send is
 * counted with what is sent next.
 */
function countTlsBytes(stream: Partial<SocketParts>, socket: Socket, count: ByteCount, report: PatchReport): boolean {
  const { send, onData } = stream;
  const missing = missingFunctions({ 'stream.send': send, 'stream.onData': onData });
  if (missing !== undefined || send === undefined || onData === undefined) {
    report.notApplied(SOCKET_PATCH, missing ?? 'stream');
    return false;
  }
  let { bytesRead, bytesWritten } = socket;
  stream.send = (bytes) => {
    const isMoreWelcome = send.call(stream, bytes);
    const before = bytesWritten;
    bytesWritten = socket.bytesWritten;
    count.sent(bytesWritten - before);
    return isMoreWelcome;
  };
  stream.onData = (bytes) => {
    const before = bytesRead;
    bytesRead = socket.bytesRead;
    count.received(bytesRead - before);
    onData.call(stream, bytes);
  };
  return true;
}

/** Our end of the connection; undefined for relayed ones, which have no socket of their own. */
export function localEnd(connection: Pick<Connection, 'remoteAddr'>): LocalEnd | undefined {
  return (connection as unknown as { readonly maConn?: SocketParts }).maConn?.socket;
}
