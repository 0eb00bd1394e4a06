// The socket that gRPC listens on, plain or TLS. grpc-js's own socket cannot require a client certificate of any
// authority, share its connections among addresses, or report its address.
import { type AddressInfo, createServer, type Server, type Socket } from 'node:net';
import { createServer as createTlsServer, type TLSSocket, type TlsOptions } from 'node:tls';
import { P2PError } from '../../lib/errors.ts';
import type { Logger } from '../../ports/log.ts';
import type { ConnectionShares } from '../listeners/connection-shares.ts';

export interface ListenerOptions {
  /** `host:port` or `:port` (all interfaces); port 0 takes a free port. */
  readonly listenAddress: string;
  readonly tls: TlsOptions | undefined;
}

export class Listener {
  private readonly log: Logger;
  private readonly serve: (socket: Socket) => void;
  private readonly options: ListenerOptions;
  private readonly shares: ConnectionShares;
  private server: Server | undefined;

  /** `serve` gets each connection that `shares` admits, once it is ready for HTTP/2. */
  constructor(
    deps: { log: Logger; shares: ConnectionShares; serve: (socket: Socket) => void },
    options: ListenerOptions,
  ) {
    this.log = deps.log;
    this.serve = deps.serve;
    this.shares = deps.shares;
    this.options = options;
  }

  /** Throws LISTEN_FAILED. */
  async start(): Promise<void> {
    const { listenAddress } = this.options;
    const { host, port } = splitAddress(listenAddress);
    const server = this.build();
    this.server = server;
    try {
      await listen(server, host, port);
    } catch (cause) {
      this.server = undefined;
      throw new P2PError('LISTEN_FAILED', `cannot listen for gRPC on ${listenAddress}`, { cause });
    }
    server.on('error', (err) => this.log.warn({ err }, 'gRPC listener failed'));
  }

  /** `host:port` as bound; undefined while not listening. */
  address(): string | undefined {
    const bound = this.server?.address() as AddressInfo | null | undefined;
    if (bound === undefined || bound === null) return undefined;
    return bound.family === 'IPv6' ? `[${bound.address}]:${bound.port}` : `${bound.address}:${bound.port}`;
  }

  /** Accepts no new connections; open ones stay. Resolves when the last one has ended. */
  async close(): Promise<void> {
    const { server } = this;
    this.server = undefined;
    if (server !== undefined) await new Promise((resolve) => server.close(resolve));
  }

  private build(): Server {
    const { tls } = this.options;
    const server =
      tls === undefined
        ? createServer({ noDelay: true }, (socket) => this.servePlain(socket))
        : createTlsServer({ ...tls, noDelay: true }, (socket) => this.serveEncrypted(socket, tls));
    server.prependListener('connection', (socket: Socket) => {
      socket.on('error', (err) => this.log.trace({ err }, 'gRPC connection failed'));
      this.shares.admit(socket);
    });
    server.on('tlsClientError', (err: Error) => {
      this.shares.count('handshake');
      this.log.debug({ err }, 'gRPC TLS handshake failed');
    });
    return server;
  }

  private servePlain(socket: Socket): void {
    if (!socket.destroyed) this.serve(socket);
  }

  private serveEncrypted(socket: TLSSocket, tls: TlsOptions): void {
    socket.on('error', (err) => this.log.trace({ err }, 'gRPC connection failed'));
    const reason = refusal(socket, tls);
    if (reason === undefined) {
      this.serve(socket);
      return;
    }
    this.shares.count(reason);
    this.log.debug({ address: socket.remoteAddress, reason }, 'refused gRPC connection');
    socket.destroy();
  }
}

function refusal(socket: TLSSocket, tls: TlsOptions): 'no_certificate' | 'no_http2' | undefined {
  if (tls.requestCert === true && socket.getPeerX509Certificate() === undefined) return 'no_certificate';
  return socket.alpnProtocol === 'h2' ? undefined : 'no_http2';
}

/** `::` falls back to 0.0.0.0 on a machine without IPv6. */
async function listen(server: Server, host: string, port: number): Promise<void> {
  try {
    await listenOn(server, host, port);
  } catch (error) {
    const code = error instanceof Error && 'code' in error ? error.code : undefined;
    if (host !== '::' || (code !== 'EAFNOSUPPORT' && code !== 'EADDRNOTAVAIL')) throw error;
    await listenOn(server, '0.0.0.0', port);
  }
}

function listenOn(server: Server, host: string, port: number): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', reject);
    server.listen({ host, port }, () => {
      server.off('error', reject);
      resolve();
    });
  });
}

/** `:port` means all interfaces. */
function splitAddress(listenAddress: string): { host: string; port: number } {
  const at = listenAddress.lastIndexOf(':');
  const host = listenAddress.slice(0, at).replace(/^\[(.*)\]$/, '$1');
  return { host: host === '' ? '::' : host, port: Number(listenAddress.slice(at + 1)) };
}
