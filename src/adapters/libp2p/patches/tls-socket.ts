// TLS on the TCP socket itself. @libp2p/tls puts a JavaScript stream between the two, which costs a copy and several
// hops per record: a quarter of the CPU of a small one. It is needed where something else lies beneath TLS (the cipher
// of a private network, a relay) and used there. Certificates, their checks and the stream of a secured connection are
// the library's. docs/adr/0004-changes-to-js-libp2p.md. Written for @libp2p/tls 3.1.10. Can go when it uses the socket.
import { once } from 'node:events';
import { Socket } from 'node:net';
import { connect, type SecureContext, TLSSocket } from 'node:tls';
import type {
  AbortOptions,
  ConnectionEncrypter,
  MessageStream,
  MultiaddrConnection,
  SecureConnectionOptions,
} from '@libp2p/interface';
import type { TLSComponents } from '@libp2p/tls';
import { toMessageStream } from '@libp2p/tls/utils';
import { isRelayed } from '../addresses.ts';
import { missingFunctions, type PatchReport } from './report.ts';
import { SharedContext } from './tls-context.ts';
import { countersOf, type Muxers, secure, serverOptions, tlsOptions } from './tls-handshake.ts';
import { setSecured, TLS_PATCH } from './tls-patch.ts';

/** What is private in the type of a TCP connection. */
interface SocketParts {
  readonly socket: Socket;
  /** Bytes that arrived and that nobody took: the peer may send TLS right behind the negotiation. */
  readonly readBuffer: { readonly byteLength: number; subarray(): Uint8Array; consume(bytes: number): void };
  readonly writeBuffer: { readonly byteLength: number };
  sendClose(options?: AbortOptions): Promise<void>;
  sendReset(error?: Error): void;
}

type TcpConnection = MultiaddrConnection & SocketParts;

/** What is private in the type of a secured connection. */
interface StreamParts {
  sendData(data: unknown): unknown;
  sendReset(error: Error): void;
}

/** The encrypter, which works on the socket of a TCP connection and, where there is none, as the library does. */
export function tlsOnSocket(
  create: (components: TLSComponents) => ConnectionEncrypter,
  report: PatchReport,
): (components: TLSComponents) => ConnectionEncrypter {
  return (components) => {
    const encrypter = create(components);
    const context = new SharedContext(components.privateKey);
    const secureInbound = encrypter.secureInbound.bind(encrypter);
    const secureOutbound = encrypter.secureOutbound.bind(encrypter);
    const on =
      (isServer: boolean, byLibrary: typeof secureInbound) =>
      async (connection: MessageStream, options?: SecureConnectionOptions) => {
        if (!isTcp(connection, report)) return await byLibrary(connection, options);
        const secureContext = await context.get();
        options?.signal?.throwIfAborted();
        if (!isIdle(connection)) return await byLibrary(connection, options);
        const muxers: Muxers =
          options?.skipStreamMuxerNegotiation === true ? new Map() : components.upgrader.getStreamMuxers();
        const tls = takeOver(connection, isServer, { secureContext, muxers });
        const handshake = {
          ...{ connection, tls, muxers, counters: countersOf(encrypter, isServer) },
          secured: () => messageStream(connection, tls),
          abort: (error: Error) => connection.abort(error),
        };
        return await secure(handshake, options);
      };
    encrypter.secureInbound = on(true, secureInbound);
    encrypter.secureOutbound = on(false, secureOutbound);
    return encrypter;
  };
}

function isTcp(connection: MessageStream, report: PatchReport): connection is TcpConnection {
  const { remoteAddr, socket, readBuffer, writeBuffer, sendClose, sendReset } = connection as Partial<TcpConnection>;
  if (remoteAddr !== undefined && isRelayed(remoteAddr)) return false;
  const missing =
    missingFunctions({
      'maConn.readBuffer.subarray': readBuffer?.subarray,
      'maConn.readBuffer.consume': readBuffer?.consume,
      'maConn.sendClose': sendClose,
      'maConn.sendReset': sendReset,
    }) ??
    (socket instanceof Socket ? undefined : 'maConn.socket') ??
    // Bytes must reach `readBuffer` and nobody else.
    (socket?.listenerCount('data') === 1 && socket.listenerCount('readable') === 0 ? undefined : 'socket listener') ??
    (typeof writeBuffer?.byteLength === 'number' ? undefined : 'maConn.writeBuffer.byteLength');
  if (missing !== undefined) report.notApplied(TLS_PATCH, missing);
  return missing === undefined;
}

/**
 * False for a connection that is closing, or that has more to send than its kernel took: TLS would take the end of such
 * a write for the end of its own.
 */
function isIdle({ status, writeBuffer, socket }: TcpConnection): boolean {
  const isSent = writeBuffer.byteLength === 0 && socket.writableLength === 0;
  return status === 'open' && isSent && !socket.destroyed && socket.readable && socket.writable;
}

/** From here on TLS reads and writes the socket, and the TCP connection only closes it. */
function takeOver(
  tcp: TcpConnection,
  isServer: boolean,
  { secureContext, muxers }: { readonly secureContext: SecureContext; readonly muxers: Muxers },
): TLSSocket {
  const { socket: raw, readBuffer } = tcp;
  raw.pause();
  raw.removeAllListeners('data');
  const early = readBuffer.subarray();
  readBuffer.consume(early.byteLength);
  // TLS begins with what the socket has buffered.
  if (early.byteLength > 0) raw.unshift(early);
  // Before TLS listens for it.
  let isClosed = false;
  raw.once('close', () => {
    isClosed = true;
  });
  const tls = isServer
    ? new TLSSocket(raw, serverOptions(secureContext, muxers))
    : connect({ ...tlsOptions(secureContext, muxers), socket: raw });
  destroyedAfter(raw, () => isClosed, tls);
  closeThrough(tcp, tls);
  return tls;
}

/**
 * Ends TLS before TCP where both can end in peace. Otherwise TCP ends first, by a reset, unless it is shutting down:
 * libuv refuses a reset then, and the socket would stay open. TLS that is destroyed closes the socket itself.
 */
function closeThrough(tcp: TcpConnection, tls: TLSSocket): void {
  const sendReset = tcp.sendReset.bind(tcp);
  tcp.sendClose = async (options) => {
    if (tcp.socket.destroyed) return;
    const closed = once(tls, 'close', options);
    tls.destroySoon();
    await closed;
  };
  tcp.sendReset = (error) => {
    if (tls.destroyed) return;
    if (tls.writableEnded) tcp.socket.destroy();
    else sendReset(error);
  };
}

/**
 * Destroys TLS when the socket is closed, not while it closes: Node.js 24 then frees OpenSSL's state at once, while
 * OpenSSL may still be running, as it calls back from within a read, and the process crashes.
 */
function destroyedAfter(raw: Pick<Socket, 'destroyed'>, isClosed: () => boolean, tls: TLSSocket): void {
  const destroy = tls.destroy.bind(tls);
  // The socket that closes destroys TLS itself.
  tls.destroy = (error) => (raw.destroyed && !isClosed() ? tls : destroy(error));
}

function messageStream(tcp: TcpConnection, tls: TLSSocket): MessageStream {
  const stream = toMessageStream(tcp, tls);
  const parts = stream as unknown as StreamParts;
  // The library destroys TLS first, which would close TCP as if all were well.
  parts.sendReset = (error) => tcp.abort(error);
  setSecured(tcp, stream, tcp.socket);
  return stream;
}
