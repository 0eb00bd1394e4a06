// The socket that gRPC listens on, plain or TLS. grpc-js's own socket cannot require a client certificate of any
// authority, limit the number of connections, or report its address.
import { type AddressInfo, createServer, type Server, type Socket } from 'node:net';
import { createServer as createTlsServer, type TLSSocket, type TlsOptions } from 'node:tls';
import { P2PError } from '../../lib/errors.ts';
import type { Logger } from '../../ports/log.ts';
import { type Counter, gaugeWithBound, type Metrics } from '../../ports/metrics.ts';

export interface ListenerOptions {
  /** `host:port` or `:port` (all interfaces); port 0 takes a free port. */
  readonly listenAddress: string;
  readonly tls: TlsOptions | undefined;
  /** Further connections are closed at once. */
  readonly maxConnections: number;
}

export class Listener {
  private readonly log: Logger;
  private readonly serve: (socket: Socket) => void;
  private readonly options: ListenerOptions;
  private readonly refused: Counter;
  private readonly sockets = new Set<Socket>();
  private server: Server | undefined;

  /** `serve` gets each connection once it is ready for HTTP/2. */
  constructor(deps: { log: Logger; metrics: Metrics; serve: (socket: Socket) => void }, options: ListenerOptions) {
    this.log = deps.log;
    this.serve = deps.serve;
    this.options = options;
    const { metrics } = deps;
    gaugeWithBound(
      metrics,
      { name: 'teranode_p2p_grpc_connections', help: 'Open gRPC connections' },
      () => this.sockets.size,
      options.maxConnections,
    );
    this.refused = metrics.counter(
      'teranode_p2p_grpc_connections_refused_total',
      'gRPC connections refused, by reason',
      ['reason'],
    );
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

  /** Ends open connections. */
  destroyConnections(): void {
    for (const socket of this.sockets) socket.destroy();
  }

  private build(): Server {
    const { tls, maxConnections } = this.options;
    const server =
      tls === undefined
        ? createServer({ noDelay: true }, this.serve)
        : createTlsServer({ ...tls, noDelay: true }, (socket) => this.serveEncrypted(socket, tls));
    server.maxConnections = maxConnections;
    server.on('drop', () => this.refused.add(1, { reason: 'too_many' }));
    server.on('connection', (socket: Socket) => {
      this.sockets.add(socket);
      socket.once('close', () => this.sockets.delete(socket));
      socket.on('error', (err) => this.log.trace({ err }, 'gRPC connection failed'));
    });
    server.on('tlsClientError', (err: Error) => {
      this.refused.add(1, { reason: 'handshake' });
      this.log.debug({ err }, 'gRPC TLS handshake failed');
    });
    return server;
  }

  private serveEncrypted(socket: TLSSocket, tls: TlsOptions): void {
    socket.on('error', (err) => this.log.trace({ err }, 'gRPC connection failed'));
    const reason = refusal(socket, tls);
    if (reason === undefined) {
      this.serve(socket);
      return;
    }
    this.refused.add(1, { reason });
    this.log.debug({ address: socket.remoteAddress, reason }, 'refused gRPC connection');
    socket.destroy();
  }
}

function refusal(socket: TLSSocket, tls: TlsOptions): string | undefined {
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
