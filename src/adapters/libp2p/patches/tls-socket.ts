// TLS on the TCP socket itself. @libp2p/tls puts a JavaScript stream between the two, which costs a copy and several
// hops per record: a quarter of the CPU of a small one. It is needed where something else lies beneath TLS (the cipher
// of a private network, a relay) and used there. Certificates, their checks and the stream of a secured connection are
// the library's. docs/adr/0004-changes-to-js-libp2p.md. Written for @libp2p/tls 3.1.10. Can go when it uses the socket.
import { once } from 'node:events';
import { Socket } from 'node:net';
import { type ConnectionOptions, connect, TLSSocket } from 'node:tls';
import {
  type AbortOptions,
  type ConnectionEncrypter,
  type MessageStream,
  type MultiaddrConnection,
  type SecureConnectionOptions,
  type SecuredConnection,
  type StreamMuxerFactory,
  TimeoutError,
} from '@libp2p/interface';
import type { TLSComponents } from '@libp2p/tls';
import { generateCertificate, toMessageStream, verifyPeerCertificate } from '@libp2p/tls/utils';
import { isRelayed } from '../addresses.ts';
import { missingFunctions, type PatchReport } from './report.ts';
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

/** The counters of @libp2p/tls, which ours go on with; private in its type, and nothing else depends on them. */
interface Counted {
  readonly metrics?: Partial<Record<'server' | 'client', Counters>>;
}

type Counters = Partial<Record<'events' | 'errors', { increment(event: Record<string, true>): void }>>;

interface Handshake {
  readonly tcp: TcpConnection;
  readonly tls: TLSSocket;
  readonly muxers: ReadonlyMap<string, StreamMuxerFactory>;
  readonly counters: Counters;
}

/** The encrypter, which works on the socket of a TCP connection and, where there is none, as the library does. */
export function tlsOnSocket(
  create: (components: TLSComponents) => ConnectionEncrypter,
  report: PatchReport,
): (components: TLSComponents) => ConnectionEncrypter {
  return (components) => {
    const encrypter = create(components);
    const secureInbound = encrypter.secureInbound.bind(encrypter);
    const secureOutbound = encrypter.secureOutbound.bind(encrypter);
    const on =
      (isServer: boolean, byLibrary: typeof secureInbound) =>
      async (connection: MessageStream, options?: SecureConnectionOptions) => {
        if (!isTcp(connection, report)) return await byLibrary(connection, options);
        const certificate = await generateCertificate(components.privateKey, options);
        options?.signal?.throwIfAborted();
        if (!isIdle(connection)) return await byLibrary(connection, options);
        const muxers: ReadonlyMap<string, StreamMuxerFactory> =
          options?.skipStreamMuxerNegotiation === true ? new Map() : components.upgrader.getStreamMuxers();
        const tls = takeOver(connection, isServer, tlsOptions(certificate, [...muxers.keys()]));
        const counters = (encrypter as Counted).metrics?.[isServer ? 'server' : 'client'] ?? {};
        return await secure({ tcp: connection, tls, muxers, counters }, options);
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

function tlsOptions(certificate: { readonly cert: string; readonly key: string }, muxers: readonly string[]) {
  return {
    ...certificate,
    minVersion: 'TLSv1.3',
    maxVersion: 'TLSv1.3',
    // Certificates of libp2p are self-signed; what they say of the peer is checked after the handshake.
    rejectUnauthorized: false,
    // The muxer is agreed on within the handshake; `libp2p` stands for peers that negotiate it afterwards.
    ALPNProtocols: [...muxers, 'libp2p'],
  } as const satisfies ConnectionOptions;
}

/** From here on TLS reads and writes the socket, and the TCP connection only closes it. */
function takeOver(tcp: TcpConnection, isServer: boolean, options: ReturnType<typeof tlsOptions>): TLSSocket {
  const { socket: raw, readBuffer } = tcp;
  raw.pause();
  raw.removeAllListeners('data');
  const early = readBuffer.subarray();
  readBuffer.consume(early.byteLength);
  // TLS begins with what the socket has buffered.
  if (early.byteLength > 0) raw.unshift(early);
  const { ALPNProtocols: own, ...rest } = options;
  const ALPNCallback = ({ protocols }: { readonly protocols: readonly string[] }) =>
    protocols.find((each) => each !== 'libp2p' && own.includes(each)) ?? protocols.find((each) => each === 'libp2p');
  // Before TLS listens for it.
  let isClosed = false;
  raw.once('close', () => {
    isClosed = true;
  });
  const tls = isServer
    ? new TLSSocket(raw, { ...rest, isServer, requestCert: true, ALPNCallback })
    : connect({ ...options, socket: raw });
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

async function secure(
  { tcp, tls, muxers, counters: { events, errors } }: Handshake,
  { signal, remotePeer: expected }: SecureConnectionOptions = {},
): Promise<SecuredConnection> {
  const log = tcp.log.newScope('tls');
  tls.once('secure', () => events?.increment({ secure: true })).once('close', () => events?.increment({ close: true }));
  // Later errors are those of the secured connection, which listens too.
  tls.on('error', (error) => {
    log.error('error encrypting %s connection - %e', tcp.direction, error);
    events?.increment({ error: true });
  });
  try {
    await handshake(tls, signal);
    const remotePeer = await verifyPeerCertificate(tls.getPeerCertificate().raw, expected, log).catch((error) => {
      errors?.increment({ verify_peer_certificate: true });
      throw error;
    });
    signal?.throwIfAborted();
    if (tcp.status !== 'open') throw new Error('connection closed during the TLS handshake');
    const { alpnProtocol } = tls;
    const streamMuxer = typeof alpnProtocol === 'string' ? muxers.get(alpnProtocol) : undefined;
    return { remotePeer, connection: messageStream(tcp, tls), ...(streamMuxer && { streamMuxer }) };
  } catch (error) {
    if (signal?.aborted === true) {
      events?.increment({ abort: true });
      errors?.increment({ encrypt_abort: true });
    }
    tcp.abort(error instanceof Error ? error : new Error(`${error}`));
    throw error;
  }
}

/** Resolves when the handshake is done; rejects when it fails, the socket closes or the signal ends the wait. */
async function handshake(tls: TLSSocket, signal: AbortSignal | undefined): Promise<void> {
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  const aborted = () => reject(new TimeoutError('Handshake timeout'));
  const closed = () => reject(new Error('connection closed during the TLS handshake'));
  tls.once('secure', resolve).once('error', reject).once('close', closed);
  signal?.addEventListener('abort', aborted);
  try {
    await promise;
  } finally {
    tls.off('secure', resolve).off('error', reject).off('close', closed);
    signal?.removeEventListener('abort', aborted);
  }
}

function messageStream(tcp: TcpConnection, tls: TLSSocket): MessageStream {
  const stream = toMessageStream(tcp, tls);
  const parts = stream as unknown as StreamParts;
  // The library destroys TLS first, which would close TCP as if all were well.
  parts.sendReset = (error) => tcp.abort(error);
  setSecured(tcp, stream, tcp.socket);
  return stream;
}
