// HTTP from the settings: the API with health checks, metrics and WebSocket, and a second listener for health checks
// alone where one is set.
import { BUILT_PAGE_FOLDERS } from '../adapters/http/page/page-files.ts';
import {
  HttpServer,
  type HttpServerDependencies,
  type HttpServerOptions,
} from '../adapters/http/server/http-server.ts';
import type { AdminKeys } from '../adapters/listeners/admin-keys.ts';
import type { PrometheusMetrics } from '../adapters/metrics/prometheus.ts';
import type { EventFeed } from '../domain/event-feed.ts';
import { portOf, reachableHere } from '../lib/host-port.ts';
import { buildVersion } from '../lib/version.ts';
import type { AdminApi } from '../ports/admin-api.ts';
import { systemClock } from '../ports/clock.ts';
import type { Settings } from '../settings/load.ts';
import { webSocketLimits } from '../settings/websocket-limits.ts';
import { wireNames } from '../settings/wire.ts';
import type { Core } from './core.ts';
import type { Waiting } from './create-services.ts';
import { type Health, reportOf } from './health/health.ts';

export interface HttpDependencies extends Core {
  readonly metrics: PrometheusMetrics;
  readonly health: Health;
  readonly admin: AdminApi;
  readonly adminKeys: AdminKeys;
  readonly webSocket: NonNullable<HttpServerDependencies['webSocket']>;
  readonly events: EventFeed;
  /** What the main listener serves as a DataHub. */
  readonly dataHub: HttpServerDependencies['dataHub'] | undefined;
}

export interface Http {
  start(): Promise<void>;
  /** `host:port` of the main listener as bound. */
  address(): string | undefined;
  stop(): Promise<void>;
}

export function createHttp(settings: Settings, deps: HttpDependencies): Http {
  const { health, admin, adminKeys, metrics, log } = deps;
  const sources = {
    health: (checkLiveness: boolean) => health.check(checkLiveness),
    scrape: () => metrics.scrape(),
  };
  const main = new HttpServer(
    { ...deps, sources, api: { admin, adminKeys, version: buildVersion().version } },
    {
      ...mainHttp(settings),
      webSocketOrigins: settings.p2p_ws_origins,
      webSocket: {
        ...webSocketLimits(settings),
        wires: wireNames(settings),
        bufferFrames: settings.p2p_ws_buffer_frames,
      },
    },
  );
  const others = probeHttp(settings).map((options) => new HttpServer({ log, metrics, sources }, options));
  return { ...listeners([main, ...others]), address: () => main.address() };
}

/**
 * Answers health checks while the blockchain service, which stores our key, is awaited: the process lives and is not
 * ready.
 */
export function createWaitingHttp(
  settings: Settings,
  { log, metrics }: Pick<HttpDependencies, 'log' | 'metrics'>,
): Waiting {
  const details = 'waiting for the service, which holds our key';
  const notReady = () => reportOf([{ name: 'blockchain', ok: false, details, tookMs: 0, atMs: systemClock.now() }]);
  const sources = {
    health: async (isLiveness: boolean) => (isLiveness ? { status: 200, message: 'OK', checks: [] } : notReady()),
    scrape: () => metrics.scrape(),
  };
  const servers = [mainHttp(settings), ...probeHttp(settings)].map(
    (options) => new HttpServer({ log, metrics, sources }, options),
  );
  const { start: begin, stop: end } = listeners(servers);
  return { begin, end };
}

function listeners(servers: readonly HttpServer[]) {
  return {
    start: async () => {
      for (const server of servers) await server.start();
    },
    stop: async () => {
      await Promise.all(servers.map((server) => server.stop()));
    },
  };
}

function mainHttp(settings: Settings): HttpServerOptions {
  const { securityLevelHTTP, server_certFile: certFile, server_keyFile: keyFile } = settings;
  return {
    listenAddress: settings.p2p_http_listen_address,
    tls: securityLevelHTTP === 1 && certFile && keyFile ? { certFile, keyFile } : undefined,
    routes: 'full',
    corsOrigins: settings.p2p_http_cors_origins,
    ratePerSecond: settings.p2p_http_rate,
    publicReads: settings.p2p_http_public_reads,
    publicMetrics: settings.p2p_http_public_metrics,
    allowedHosts: [...settings.p2p_http_allowed_hosts, ...ownHost(settings)],
    trustedProxies: settings.p2p_http_trusted_proxies.filter((range) => range !== 'none'),
    ...(settings.p2p_http_dashboard && { pageFolders: BUILT_PAGE_FOLDERS }),
  };
}

/** The name of `p2p_http_address`. */
function ownHost({ p2p_http_address: address }: Settings): string[] {
  return address === undefined ? [] : [address.replace(/^[a-z0-9]+:\/{2,3}/i, '').replace(/:\d+$/, '')];
}

/** `health_check_httpListenAddress`: none or one. */
function probeHttp({ health_check_httpListenAddress: address, p2p_http_cors_origins }: Settings): HttpServerOptions[] {
  if (address === undefined) return [];
  return [{ listenAddress: address, tls: undefined, routes: 'probes', corsOrigins: p2p_http_cors_origins }];
}

/**
 * `p2p_http_address` with the scheme that the security level serves; without one, what is `bound`. Where the system
 * chose the port, its port is that one. undefined while neither is known.
 */
export function ownHttpUrl(settings: Settings, bound?: string): string | undefined {
  const { p2p_http_address: set, p2p_http_listen_address: listen, securityLevelHTTP } = settings;
  const address = set?.replace(/^[a-z0-9]+:\/{2,3}/i, '') ?? (bound && reachableHere(bound));
  if (address === undefined) return undefined;
  const real = bound !== undefined && portOf(listen) === 0 ? address.replace(/:\d+$/, `:${portOf(bound)}`) : address;
  return `${securityLevelHTTP === 1 ? 'https' : 'http'}://${real}`;
}
