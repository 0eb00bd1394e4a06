// The HTTP and HTTPS server: health checks and metrics as the Go service has them, the API, the WebSocket. Assembles
// the parts.
import { Server as HttpsServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import fastify, { type FastifyInstance, LogController } from 'fastify';
import { P2PError } from '../../../lib/errors.ts';
import { type Clock, systemClock } from '../../../ports/clock.ts';
import type { Logger } from '../../../ports/log.ts';
import type { Metrics } from '../../../ports/metrics.ts';
import { adminKeyCheck } from '../api/admin-key-check.ts';
import { addOpenApi, addOpenApiRoute } from '../api/openapi.ts';
import { type AccessOptions, RouteAccess } from '../api/route-access.ts';
import { type ApiSources, addApiRoutes } from '../api/routes.ts';
import { WebSocketHub, type WebSocketOptions, type WebSocketSources } from '../websocket/hub.ts';
import { addWebSocketRoute, isWebSocketRequest } from '../websocket/route.ts';
import { type Certificate, type CertificateFiles, CertificateWatch, readCertificate } from './certificate.ts';
import { ConnectionMeter } from './connection-count.ts';
import { fastifyLog } from './fastify-log.ts';
import { addHealthRoutes, addProbeRoutes, type HttpSources } from './health-routes.ts';
import { HttpProblem, problemAnswer } from './http-problem.ts';
import { isLoopbackOnly, listen } from './listen-address.ts';
import { answerClientError, nodeServer } from './node-server.ts';
import type { Origins } from './origins.ts';
import { addProtections } from './protections.ts';
import { addValidation } from './validation.ts';

export interface HttpServerDependencies {
  readonly log: Logger;
  readonly sources: HttpSources;
  readonly metrics?: Metrics;
  readonly clock?: Clock;
  /** Absent: no API, and no admin key that anything could be read with. */
  readonly api?: ApiSources;
  /** Absent: no WebSocket. Needs `metrics`. */
  readonly webSocket?: WebSocketSources;
}

export interface HttpServerOptions extends AccessOptions {
  /** `host:port` or `:port`; port 0 takes a free one. */
  readonly listenAddress: string;
  /** For HTTPS; undefined for HTTP. */
  readonly tls: CertificateFiles | undefined;
  /** `full`: everything. `probes`: only the two health checks that Teranode deployments request. */
  readonly routes: 'full' | 'probes';
  /** `p2p_http_cors_origins`; default all. */
  readonly corsOrigins?: Origins;
  /** `p2p_http_rate`; see ProtectionOptions. Default: no limit. */
  readonly ratePerSecond?: number;
  /** `p2p_ws_origins`; default all. */
  readonly webSocketOrigins?: Origins;
  readonly webSocket?: WebSocketOptions;
  /** Maximum number of connections besides WebSockets; further ones are closed at once. Default 2,000. */
  readonly maxPlainConnections?: number;
}

const MAX_BODY_BYTES = 64 * 1024;
const MAX_PARAM_CHARS = 512;
/** Connecting to a peer may take ten seconds. */
const HANDLER_TIMEOUT_MS = 15_000;
const CLOSE_DEADLINE_MS = 1500;
const MAX_PLAIN_CONNECTIONS = 2000;
const ANY_ORIGIN: Origins = ['*'];
const WEBSOCKET_DEFAULTS: WebSocketOptions = { maxClients: 2000, bufferFrames: 4000 };

export class HttpServer {
  private readonly deps: HttpServerDependencies;
  private readonly options: HttpServerOptions;
  private readonly clock: Clock;
  private readonly hub: WebSocketHub | undefined;
  private readonly meter: ConnectionMeter | undefined;
  private readonly maxConnections: number;
  private readonly access: RouteAccess;
  private readonly tlsServers: HttpsServer[] = [];
  private app: FastifyInstance | undefined;
  private certificates: CertificateWatch | undefined;

  constructor(deps: HttpServerDependencies, options: HttpServerOptions) {
    const { log, metrics, webSocket: sources } = deps;
    this.deps = deps;
    this.options = options;
    this.clock = deps.clock ?? systemClock;
    this.access = new RouteAccess({ isLoopback: () => isLoopbackOnly(this.app) }, options);
    if (sources !== undefined && metrics !== undefined) {
      this.hub = new WebSocketHub(
        { log, metrics, clock: this.clock, sources },
        options.webSocket ?? WEBSOCKET_DEFAULTS,
      );
    }
    const maxConnections = (this.hub?.maxClients ?? 0) + (options.maxPlainConnections ?? MAX_PLAIN_CONNECTIONS);
    this.maxConnections = maxConnections;
    this.meter = metrics === undefined ? undefined : new ConnectionMeter({ metrics }, { maxConnections });
  }

  /** Resolves when it listens. Throws LISTEN_FAILED, SETTINGS_INVALID (certificate files). */
  async start(): Promise<void> {
    const { tls, listenAddress } = this.options;
    const certificate = tls === undefined ? undefined : await readCertificate(tls, this.clock.now());
    const app = await this.build(certificate);
    this.app = app;
    try {
      await listen(app, listenAddress);
    } catch (cause) {
      throw new P2PError('LISTEN_FAILED', `failed to listen for HTTP on ${listenAddress}`, { cause });
    }
    this.hub?.start();
    if (tls !== undefined && certificate !== undefined) this.watchCertificate(tls, certificate);
    this.deps.log.debug({ address: this.address() }, 'HTTP server started');
  }

  /** `host:port` as bound; undefined while not listening. */
  address(): string | undefined {
    const bound = this.app?.server.address() as AddressInfo | null | undefined;
    if (bound === undefined || bound === null) return undefined;
    return bound.family === 'IPv6' ? `[${bound.address}]:${bound.port}` : `${bound.address}:${bound.port}`;
  }

  /** May be called twice; bounded in time. */
  async stop(): Promise<void> {
    const { app } = this;
    this.app = undefined;
    this.certificates?.stop();
    if (app === undefined) return;
    const late = setTimeout(() => app.server.closeAllConnections(), CLOSE_DEADLINE_MS);
    await this.hub?.stop();
    await app.close();
    clearTimeout(late);
  }

  private async build(certificate: Certificate | undefined): Promise<FastifyInstance> {
    const { log, metrics, sources, api } = this.deps;
    const { routes, corsOrigins = ANY_ORIGIN, ratePerSecond = 0, webSocketOrigins = ANY_ORIGIN } = this.options;
    const app = this.bareApp(certificate);
    app.setErrorHandler(problemAnswer(log));
    this.countRequests(app);
    await addProtections(app, { corsOrigins, ratePerSecond: routes === 'probes' ? 0 : ratePerSecond });
    addValidation(app, { metrics });
    if (routes === 'probes') {
      addProbeRoutes(app, sources);
      return app;
    }
    this.checkKeys(app);
    if (api !== undefined) await addOpenApi(app, this.access, api);
    addHealthRoutes(app, sources);
    if (this.hub !== undefined) await addWebSocketRoute(app, { hub: this.hub, log }, { origins: webSocketOrigins });
    if (api !== undefined) {
      await addApiRoutes(app, api.admin);
      addOpenApiRoute(app);
    }
    return app;
  }

  private bareApp(certificate: Certificate | undefined): FastifyInstance {
    const { hub } = this;
    return fastify({
      bodyLimit: MAX_BODY_BYTES,
      handlerTimeout: HANDLER_TIMEOUT_MS,
      forceCloseConnections: 'idle',
      routerOptions: { maxParamLength: MAX_PARAM_CHARS },
      loggerInstance: fastifyLog(this.deps.log),
      logController: new LogController({ disableRequestLogging: true }),
      clientErrorHandler: answerClientError,
      frameworkErrors: problemAnswer(this.deps.log),
      serverFactory: (handler) => {
        const server = nodeServer(handler, {
          certificate,
          isUpgrade: (request) => hub !== undefined && isWebSocketRequest(request),
          maxConnections: this.maxConnections,
        });
        this.meter?.watch(server);
        if (server instanceof HttpsServer) this.tlsServers.push(server);
        return server;
      },
    });
  }

  /** After the rate limit, which is an `onRequest` hook, and before the body is read. */
  private checkKeys(app: FastifyInstance): void {
    const { log, api } = this.deps;
    const checkKey = api === undefined ? noKeyYet : adminKeyCheck({ log, clock: this.clock }, api);
    app.addHook('preParsing', async (request) => {
      if (this.access.needsKey(request.routeOptions.config.access)) checkKey(request);
    });
  }

  private countRequests(app: FastifyInstance): void {
    const requests = this.deps.metrics?.counter(
      'teranode_p2p_http_requests_total',
      'HTTP requests by route and status',
      ['route', 'status'],
    );
    if (requests === undefined) return;
    app.addHook('onResponse', async (request, reply) => {
      requests.add(1, { route: request.routeOptions.url ?? 'none', status: String(reply.statusCode) });
    });
  }

  private watchCertificate(files: CertificateFiles, current: Certificate): void {
    const { log, metrics } = this.deps;
    this.certificates = new CertificateWatch({ log, metrics, clock: this.clock }, files, current, ({ cert, key }) => {
      for (const server of this.tlsServers) server.setSecureContext({ cert, key });
    });
    this.certificates.start();
  }
}

/** While this node waits for the service that holds its key, it has no admin key either. */
function noKeyYet(): never {
  throw new HttpProblem(503, 'NOT_READY', 'this needs the admin key, which is not loaded yet');
}
