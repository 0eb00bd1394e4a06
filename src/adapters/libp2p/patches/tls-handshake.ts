// What TLS on the socket (tls-socket.ts) and TLS over a stream (tls-stream.ts) have in common: options and handshake.
import type { ConnectionOptions, SecureContext, TLSSocket } from 'node:tls';
import {
  type MessageStream,
  type SecureConnectionOptions,
  type SecuredConnection,
  type StreamMuxerFactory,
  TimeoutError,
} from '@libp2p/interface';
import { verifyPeerCertificate } from '@libp2p/tls/utils';
import { TLS_VERSION } from './tls-context.ts';

/** The counters of @libp2p/tls, which ours go on with; private in its type, and nothing else depends on them. */
interface Counted {
  readonly metrics?: Partial<Record<'server' | 'client', Counters>>;
}

type Counters = Partial<Record<'events' | 'errors', { increment(event: Record<string, true>): void }>>;

export function countersOf(encrypter: unknown, isServer: boolean): Counters {
  return (encrypter as Counted).metrics?.[isServer ? 'server' : 'client'] ?? {};
}

export type Muxers = ReadonlyMap<string, StreamMuxerFactory>;

export function tlsOptions(secureContext: SecureContext, muxers: Muxers) {
  return {
    secureContext,
    ...TLS_VERSION,
    // Certificates of libp2p are self-signed; what they say of the peer is checked after the handshake.
    rejectUnauthorized: false,
    // The muxer is agreed on within the handshake; `libp2p` stands for peers that negotiate it afterwards.
    ALPNProtocols: [...muxers.keys(), 'libp2p'],
  } as const satisfies ConnectionOptions;
}

/** The same of a server. */
export function serverOptions(secureContext: SecureContext, muxers: Muxers) {
  const { ALPNProtocols: own, ...rest } = tlsOptions(secureContext, muxers);
  const ALPNCallback = ({ protocols }: { readonly protocols: readonly string[] }) =>
    protocols.find((each) => each !== 'libp2p' && own.includes(each)) ?? protocols.find((each) => each === 'libp2p');
  return { ...rest, isServer: true, requestCert: true, ALPNCallback };
}

interface Handshake {
  /** Beneath TLS. */
  readonly connection: MessageStream;
  readonly tls: TLSSocket;
  readonly muxers: Muxers;
  readonly counters: Counters;
  /** The connection above TLS, after the handshake. */
  readonly secured: () => MessageStream;
  /** Ends TLS and the connection after a failure. */
  readonly abort: (error: Error) => void;
}

export async function secure(
  { connection, tls, muxers, counters: { events, errors }, secured, abort }: Handshake,
  { signal, remotePeer: expected }: SecureConnectionOptions = {},
): Promise<SecuredConnection> {
  const log = connection.log.newScope('tls');
  tls.once('secure', () => events?.increment({ secure: true })).once('close', () => events?.increment({ close: true }));
  // Later errors are those of the secured connection, which listens too.
  tls.on('error', (error) => {
    log.error('error encrypting %s connection - %e', connection.direction, error);
    events?.increment({ error: true });
  });
  try {
    await handshake(tls, signal);
    const remotePeer = await verifyPeerCertificate(tls.getPeerCertificate().raw, expected, log).catch((error) => {
      errors?.increment({ verify_peer_certificate: true });
      throw error;
    });
    signal?.throwIfAborted();
    if (connection.status !== 'open') throw new Error('connection closed during the TLS handshake');
    const { alpnProtocol } = tls;
    const streamMuxer = typeof alpnProtocol === 'string' ? muxers.get(alpnProtocol) : undefined;
    return { remotePeer, connection: secured(), ...(streamMuxer && { streamMuxer }) };
  } catch (error) {
    if (signal?.aborted === true) {
      events?.increment({ abort: true });
      errors?.increment({ encrypt_abort: true });
    }
    abort(error instanceof Error ? error : new Error(`${error}`));
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
