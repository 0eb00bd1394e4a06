// Limits of HTTP sockets: how much and how slowly a client may send. They apply to every server that Fastify creates
// for us.
import { createServer, type IncomingMessage, type Server, type ServerOptions } from 'node:http';
import { createServer as createHttpsServer, type Server as HttpsServer } from 'node:https';
import type { Socket } from 'node:net';
import type { FastifyServerFactoryHandler } from 'fastify';
import { type ConnectionShares, connectionKey } from '../../listeners/connection-shares.ts';
import type { Certificate } from './certificate.ts';
import type { ProblemCode } from './http-problem.ts';
import { OwningResponse } from './owning-response.ts';

export interface NodeServerOptions {
  readonly certificate: Certificate | undefined;
  /**
   * Whether to upgrade a request that asks for it. Others are answered as ordinary requests, as are upgrades before all
   * earlier responses are sent.
   */
  readonly isUpgrade: (request: IncomingMessage) => boolean;
  /** Who may be connected. */
  readonly shares: ConnectionShares;
}

const MAX_HEADER_BYTES = 8 * 1024;
const MAX_HEADERS = 100;
/** For the headers, and for the whole request; checked every second. */
const HEADERS_TIMEOUT_MS = 5000;
const REQUEST_TIMEOUT_MS = 10_000;
const CHECK_MS = 1000;
const HANDSHAKE_TIMEOUT_MS = 10_000;
const KEEP_ALIVE_MS = 15_000;
/** Without a byte in either direction: a client that does not read its response. */
const IDLE_MS = 30_000;

export function nodeServer(handler: FastifyServerFactoryHandler, options: NodeServerOptions): Server | HttpsServer {
  const { certificate, isUpgrade, shares } = options;
  const limits: ServerOptions<typeof IncomingMessage, typeof OwningResponse> = {
    maxHeaderSize: MAX_HEADER_BYTES,
    headersTimeout: HEADERS_TIMEOUT_MS,
    requestTimeout: REQUEST_TIMEOUT_MS,
    connectionsCheckingInterval: CHECK_MS,
    keepAliveTimeout: KEEP_ALIVE_MS,
    shouldUpgradeCallback: (request) => isUpgrade(request) && !OwningResponse.owns(request.socket),
    ServerResponse: OwningResponse,
  };
  const server =
    certificate === undefined
      ? createServer(limits, handler)
      : createHttpsServer(
          { ...limits, cert: certificate.cert, key: certificate.key, handshakeTimeout: HANDSHAKE_TIMEOUT_MS },
          handler,
        );
  server.maxHeadersCount = MAX_HEADERS;
  server.setTimeout(IDLE_MS);
  share(server, shares);
  return server;
}

function share(server: Server | HttpsServer, shares: ConnectionShares): void {
  // Before the server's own listener, which would begin to read.
  server.prependListener('connection', (socket: Socket) => shares.admit(socket));
  server.on('tlsClientError', () => shares.count('handshake'));
  server.prependListener('request', ({ socket }, response) => {
    const { ended } = shares.begin(connectionKey(socket));
    response.once('close', ended);
  });
  // For good: what is not upgraded is closed.
  server.prependListener('upgrade', ({ socket }) => shares.begin(connectionKey(socket)));
}

const CLIENT_ERRORS: Readonly<Record<string, readonly [status: string, code: ProblemCode, message: string]>> = {
  HPE_HEADER_OVERFLOW: [
    '431 Request Header Fields Too Large',
    'TOO_LARGE',
    `headers too large (limit ${MAX_HEADER_BYTES} bytes)`,
  ],
  ERR_HTTP_REQUEST_TIMEOUT: ['408 Request Timeout', 'TIMEOUT', 'request not received in time'],
};

/** Answers malformed HTTP on the bare socket and closes it. */
export function answerClientError(error: Error & { readonly code?: string }, socket: Socket): void {
  if (error.code === 'ECONNRESET' || !socket.writable) {
    socket.destroy();
    return;
  }
  const [status, code, message] = CLIENT_ERRORS[error.code ?? ''] ?? [
    '400 Bad Request',
    'REQUEST_INVALID',
    'malformed HTTP request',
  ];
  const body = JSON.stringify({ code, message });
  const head = `HTTP/1.1 ${status}\r\nconnection: close\r\ncontent-type: application/json; charset=utf-8\r\ncontent-length: ${body.length}`;
  socket.end(`${head}\r\n\r\n${body}`, () => socket.destroy());
}
