// The HTTP and HTTPS server: health checks and metrics as the Go service has them, the API, the WebSocket, the
// dashboard. Assembles the parts.
import { Server as HttpsServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import fastify, { type FastifyInstance, type FastifyRequest, LogController } from 'fastify';
import type { EventFeed } from '../../../domain/event-feed.ts';
import { P2PError } from '../../../lib/errors.ts';
import { type Clock, systemClock } from '../../../ports/clock.ts';
import type { DataHubSource } from '../../../ports/datahub-source.ts';
import type { Logger } from '../../../ports/log.ts';
import type { Metrics } from '../../../ports/metrics.ts';
import { KEY_HEADER } from '../../../settings/admin-key.ts';
import { AddressRanges, addressGroup, clientIp } from '../../listeners/client-address.ts';
import { ConnectionShares, connectionKey } from '../../listeners/connection-shares.ts';
import { checkAdminKey, hasAdminKey } from '../api/admin-key-check.ts';
import { addOpenApiRoute, collectOpenApi } from '../api/openapi.ts';
import { type AccessOptions, pageRefused, RouteAccess } from '../api/route-access.ts';
import { type ApiSources, addApiRoutes } from '../api/routes.ts';
import { addDataHubRoutes } from '../datahub/routes.ts';
import { EventPump } from '../events/event-pump.ts';
import { EventStreams } from '../events/event-streams.ts';
import { addEventRoute } from '../events/route.ts';
import { addPageRoutes } from '../page/routes.ts';
import { WebSocketHub, type WebSocketOptions, type WebSocketSources } from '../websocket/hub.ts';
import { addWebSocketRoute, isWebSocketRequest } from '../websocket/route.ts';
import { type Certificate, type CertificateFiles, CertificateWatch, readCertificate } from './certificate.ts';
import { fastifyLog } from './fastify-log.ts';
import { addHealthRoutes, addProbeRoutes, type HttpSources } from './health-routes.ts';
import { HttpProblem, problemAnswer } from './http-problem.ts';
import { isLoopbackOnly, listen } from './listen-address.ts';
import { answerClientError, nodeServer } from './node-server.ts';
import type { Origins } from './origins.ts';
import { addProtections } from './protections.ts';
import { addValidation, NO_COMPILERS } from './validation.ts';

export interface HttpServerDependencies {
  readonly log: Logger;
  readonly sources: HttpSources;
  readonly metrics?: Metrics;
  readonly clock?: Clock;
  /** Absent: no API, and no admin key that anything could be read with. */
  readonly api?: ApiSources;
  /** Absent: no DataHub. */
  readonly dataHub?: DataHubSource | undefined;
  /** Absent: no WebSocket. Needs `metrics`. */
  readonly webSocket?: WebSocketSources;
  /** Events that are kept for clients that resume. Absent: none can, and there are no Server-Sent Events. Needs `webSocket`. */
  readonly events?: EventFeed;
}

export interface HttpServerOptions extends AccessOptions {
  /** `host:port` or `:port`; port 0 takes a free one. */
  readonly listenAddress: string;
  /** For HTTPS; undefined for HTTP. */
  readonly tls: CertificateFiles | undefined;
  /** `full`: everything. `probes`: only the two health checks that Teranode deployments request. */
  readonly routes: 'full' | 'probes';
  /** `p2p_http_rate`; see ProtectionOptions. Default: no limit. */
  readonly ratePerSecond?: number;
  /** `p2p_ws_origins`; default all. */
  readonly webSocketOrigins?: Origins;
  readonly webSocket?: WebSocketOptions;
  /** Interval of comments in Server-Sent Events; default 15 s. */
  readonly eventBeatMs?: number;
  /** Maximum number of connections besides WebSockets, a quarter of it per address. Default 2,000. */
  readonly maxPlainConnections?: number;
  /** `p2p_http_trusted_proxies`; default none. */
  readonly trustedProxies?: readonly string[];
  /** Folders of which the first that has a built dashboard serves it. Default: no dashboard. */
  readonly pageFolders?: readonly string[];
}

const MAX_BODY_BYTES = 64 * 1024;
const MAX_PARAM_CHARS = 512;
/** Connecting to a peer may take ten seconds. */
const HANDLER_TIMEOUT_MS = 15_000;
const CLOSE_DEADLINE_MS = 1500;
const MAX_PLAIN_CONNECTIONS = 2000;
/** Of one address: a quarter. */
const PLAIN_SHARE = 4;
const RESERVE = 32;
const RETRY_FULL_S = 5;
const ANY_ORIGIN: Origins = ['*'];
const WEBSOCKET_DEFAULTS: WebSocketOptions = { maxClients: 2000, bufferFrames: 4000 };

export class HttpServer {
  private readonly deps: HttpServerDependencies;
  private readonly options: HttpServerOptions;
  private readonly clock: Clock;
  private readonly hub: WebSocketHub | undefined;
  private readonly pump: EventPump | undefined;
  private readonly streams: EventStreams | undefined;
  private readonly shares: ConnectionShares;
  private readonly proxies: AddressRanges;
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
      const { events } = deps;
      const pump = events && new EventPump({ feed: events, now: () => this.clock.monotonic() });
      const feed = events && pump && { events, pump };
      this.pump = pump;
      this.hub = new WebSocketHub(
        { log, metrics, clock: this.clock, sources, feed },
        options.webSocket ?? WEBSOCKET_DEFAULTS,
      );
      const { maxClients } = this.hub;
      this.streams =
        events &&
        pump &&
        new EventStreams({ feed: events, pump, metrics }, { maxClients, beatMs: options.eventBeatMs });
    }
    this.proxies = new AddressRanges(options.trustedProxies ?? []);
    this.shares = this.connectionShares();
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
    this.streams?.start();
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
    this.streams?.stop();
    await this.hub?.stop();
    this.pump?.stop();
    await app.close();
    clearTimeout(late);
  }

  /** An address that may have WebSockets may have connections for them. */
  private connectionShares(): ConnectionShares {
    const { maxPlainConnections = MAX_PLAIN_CONNECTIONS, webSocket } = this.options;
    return new ConnectionShares(this.deps, {
      name: 'http',
      isMain: this.options.routes === 'full',
      maxConnections: (this.hub?.maxClients ?? 0) + maxPlainConnections,
      maxPerAddress: (this.hub?.maxPerAddress ?? 0) + Math.ceil(maxPlainConnections / PLAIN_SHARE),
      reserve: RESERVE,
      unlimited: [this.proxies, new AddressRanges(webSocket?.unlimitedRanges ?? [])],
    });
  }

  private async build(certificate: Certificate | undefined): Promise<FastifyInstance> {
    const { log, metrics, sources, api, dataHub } = this.deps;
    const { routes, corsOrigins = ANY_ORIGIN, ratePerSecond = 0, webSocketOrigins = ANY_ORIGIN } = this.options;
    const app = this.bareApp(certificate);
    app.setErrorHandler(problemAnswer(log));
    this.countRequests(app);
    this.keepReserve(app);
    await addProtections(app, {
      corsOrigins,
      ratePerSecond: routes === 'probes' ? 0 : ratePerSecond,
      addressOf: (request) => this.addressOf(request),
      isTrusted: (request) => api !== undefined && hasAdminKey(request, api.adminKeys),
    });
    addValidation(app, { metrics });
    if (routes === 'probes') {
      addProbeRoutes(app, sources);
      return app;
    }
    this.checkKeys(app);
    // Before the document is collected, which describes the API.
    if (this.options.pageFolders !== undefined) addPageRoutes(app, this.options.pageFolders);
    const makeDocument = api && collectOpenApi(app, this.access, api);
    addHealthRoutes(app, sources);
    if (dataHub !== undefined) addDataHubRoutes(app, dataHub);
    if (this.hub !== undefined) await this.addWebSocket(app, this.hub, webSocketOrigins);
    if (api !== undefined && makeDocument !== undefined) {
      await addApiRoutes(app, api.admin);
      this.addEvents(app);
      addOpenApiRoute(app, makeDocument);
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
      schemaController: NO_COMPILERS,
      loggerInstance: fastifyLog(this.deps.log),
      logController: new LogController({ disableRequestLogging: true }),
      clientErrorHandler: answerClientError,
      frameworkErrors: problemAnswer(this.deps.log),
      serverFactory: (handler) => {
        const server = nodeServer(handler, {
          certificate,
          isUpgrade: (request) => hub !== undefined && isWebSocketRequest(request),
          shares: this.shares,
        });
        if (server instanceof HttpsServer) this.tlsServers.push(server);
        return server;
      },
    });
  }

  /** What restricted connections are for; one request each. */
  private keepReserve(app: FastifyInstance): void {
    const { api } = this.deps;
    app.addHook('onRequest', async (request, reply) => {
      if (!this.shares.isRestricted(connectionKey(request.raw.socket))) return;
      reply.header('connection', 'close');
      if (request.routeOptions.url?.startsWith('/health')) return;
      if (api !== undefined && hasAdminKey(request, api.adminKeys)) return;
      throw new HttpProblem(503, 'TOO_MANY_CLIENTS', 'too many connections', { 'retry-after': String(RETRY_FULL_S) });
    });
  }

  private async addWebSocket(app: FastifyInstance, hub: WebSocketHub, origins: Origins): Promise<void> {
    const ipOf = ({ raw }: FastifyRequest) => clientIp(raw, this.proxies);
    await addWebSocketRoute(app, { hub, log: this.deps.log }, { origins, ipOf });
  }

  private addEvents(app: FastifyInstance): void {
    const { hub, streams } = this;
    const { events: feed } = this.deps;
    if (hub === undefined || streams === undefined || feed === undefined) return;
    const ipOf = ({ raw }: FastifyRequest) => clientIp(raw, this.proxies);
    addEventRoute(app, { feed, streams, slots: hub.slots, ipOf });
  }

  /** Whose limits a request counts towards. */
  private addressOf({ raw }: FastifyRequest): string {
    return addressGroup(clientIp(raw, this.proxies));
  }

  /** After the rate limit, which is an `onRequest` hook, and before the body is read. */
  private checkKeys(app: FastifyInstance): void {
    const { api } = this.deps;
    const checkKey = (request: FastifyRequest) => {
      if (api === undefined) throw noKeyYet();
      checkAdminKey(request, this.addressOf(request), api.adminKeys);
    };
    app.addHook('preParsing', async (request) => {
      const { access } = request.routeOptions.config;
      if (this.access.needsKey(access)) return checkKey(request);
      const sign = this.access.pageSign(access, request);
      if (sign === undefined) return;
      if (request.headers[KEY_HEADER] === undefined) throw pageRefused(sign);
      checkKey(request);
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
function noKeyYet(): HttpProblem {
  return new HttpProblem(503, 'NOT_READY', 'this needs the admin key, which is not loaded yet');
}
