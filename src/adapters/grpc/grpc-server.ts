// The gRPC server of this node: the Go service's PeerService, our PolicyService, health and reflection. The call guard
// checks every call first.
import type { Socket } from 'node:net';
import { Server, ServerCredentials } from '@grpc/grpc-js';
import { file_grpc_health_v1_health } from '../../gen/grpc/health/v1/health_pb.js';
import { file_p2p_api, PeerService } from '../../gen/p2p_api_pb.js';
import { file_teranode_p2p, PolicyService } from '../../gen/teranode_p2p_pb.js';
import { type Clock, systemClock } from '../../ports/clock.ts';
import type { Logger } from '../../ports/log.ts';
import type { Metrics } from '../../ports/metrics.ts';
import type { AdminKeys } from '../listeners/admin-keys.ts';
import { ConnectionShares } from '../listeners/connection-shares.ts';
import { MAX_REQUEST_BYTES, MAX_RESPONSE_BYTES, methodDefinition } from '../rpc/service-definition.ts';
import { type GrpcTlsOptions, serverTls } from '../rpc/tls.ts';
import { addressOf, callGuard, givenKey } from './call-guard.ts';
import { CallLimits } from './call-limits.ts';
import { HealthService } from './health-service.ts';
import { Listener } from './listener.ts';
import { ADMIN_METHODS, type PeerServiceDependencies, peerHandlers } from './peer-service.ts';
import { policyHandlers } from './policy-service.ts';
import { addReflection } from './reflection.ts';
import { type UnaryDependencies, unaryService } from './unary-service.ts';

export interface GrpcServerDependencies extends PeerServiceDependencies {
  readonly log: Logger;
  readonly metrics: Metrics;
  /** The same as for HTTP, so that wrong keys are counted together. */
  readonly adminKeys: AdminKeys;
  readonly clock?: Clock;
}

export interface GrpcServerOptions {
  /** `host:port` or `:port` (all interfaces); port 0 takes a free port. */
  readonly listenAddress: string;
  readonly tls: GrpcTlsOptions;
  /** Deadline of a unary call; default 15 s, longer than the ten seconds that connecting to a peer may take. */
  readonly deadlineMs?: number;
  /** Deadline of a stream of requests, such as reflection's; default 30 s. */
  readonly streamDeadlineMs?: number;
  /** `p2p_grpc_rate`; see CallLimitsOptions. Default: no limit. */
  readonly ratePerSecond?: number;
}

const DEADLINE_MS = 15_000;
const STREAM_DEADLINE_MS = 30_000;
const CLOSE_DEADLINE_MS = 1500;
/** Operators, their tools and the node's other services need one each. */
const CONNECTIONS = { maxConnections: 256, maxPerAddress: 64, reserve: 16 } as const;

/**
 * Against floods. A connection may use 10 MB and lasts an hour at most; it ends when it is idle for five minutes or
 * stops answering.
 */
const LIMITS = {
  'grpc.max_receive_message_length': MAX_REQUEST_BYTES,
  'grpc.max_send_message_length': MAX_RESPONSE_BYTES,
  'grpc.max_concurrent_streams': 64,
  'grpc-node.max_session_memory': 10,
  'grpc.keepalive_time_ms': 60_000,
  'grpc.keepalive_timeout_ms': 20_000,
  'grpc.max_connection_idle_ms': 300_000,
  'grpc.max_connection_age_ms': 3_600_000,
  'grpc.max_connection_age_grace_ms': 60_000,
  'grpc.enable_channelz': 0,
};

export class GrpcServer {
  private readonly deps: GrpcServerDependencies;
  private readonly options: GrpcServerOptions;
  private readonly health = new HealthService([PeerService.typeName, PolicyService.typeName]);
  private server: Server | undefined;
  private listener: Listener | undefined;
  private shares: ConnectionShares | undefined;
  private stopping: Promise<void> | undefined;

  constructor(deps: GrpcServerDependencies, options: GrpcServerOptions) {
    this.deps = deps;
    this.options = options;
  }

  /** Begins to listen. Throws LISTEN_FAILED, SETTINGS_INVALID (certificate files), ADMIN_KEY_REFUSED. */
  async start(): Promise<void> {
    const { log, metrics } = this.deps;
    const tls = serverTls(this.options.tls);
    const shares = new ConnectionShares({ metrics }, { name: 'grpc', ...CONNECTIONS });
    const server = this.build(shares);
    const injector = server.createConnectionInjector(ServerCredentials.createInsecure());
    const serve = (socket: Socket) => injector.injectConnection(socket);
    const listener = new Listener({ log, shares, serve }, { listenAddress: this.options.listenAddress, tls });
    await listener.start();
    this.server = server;
    this.listener = listener;
    this.shares = shares;
    log.debug({ address: this.address() }, 'gRPC listening');
  }

  /** `host:port` as bound; undefined while not listening. */
  address(): string | undefined {
    return this.listener?.address();
  }

  /** Sets the answer of the standard health service, which is NOT_SERVING at first. */
  setServing(isServing: boolean): void {
    this.health.setServing(isServing);
  }

  /** Open calls get 1.5 s to finish. May be called twice. */
  stop(): Promise<void> {
    const { server, listener } = this;
    this.server = undefined;
    this.listener = undefined;
    if (server !== undefined && listener !== undefined) this.stopping = this.end(server, listener);
    return this.stopping ?? Promise.resolve();
  }

  private async end(server: Server, listener: Listener): Promise<void> {
    this.health.stop();
    const late = setTimeout(() => {
      server.forceShutdown();
      this.shares?.closeAll();
    }, CLOSE_DEADLINE_MS);
    const closed = listener.close();
    // Its callback comes before open calls have ended; the sockets show when they have.
    server.tryShutdown(() => {});
    await closed;
    clearTimeout(late);
  }

  private build(shares: ConnectionShares): Server {
    const { admin, traces, adminKeys: keys, clock = systemClock, log, metrics } = this.deps;
    const limits = new CallLimits(
      { clock, metrics, cut: (peer) => shares.cut(peer, 'unread') },
      { ratePerSecond: this.options.ratePerSecond ?? 0 },
    );
    const guard = callGuard(
      { metrics, keys, limits, shares },
      {
        adminPaths: new Set(ADMIN_METHODS.map((method) => methodDefinition(method).path)),
        deadlineMs: this.options.deadlineMs ?? DEADLINE_MS,
        streamDeadlineMs: this.options.streamDeadlineMs ?? STREAM_DEADLINE_MS,
      },
    );
    const answers: UnaryDependencies = {
      log,
      isTrusted: (metadata) => keys.isRight(givenKey(metadata) ?? ''),
      charge: ({ peer, isTrusted }, cost) => {
        if (!isTrusted) limits.charge(addressOf(peer), cost);
      },
    };
    const server = new Server({ ...LIMITS, interceptors: [guard] });
    server.addService(...unaryService(PeerService, peerHandlers({ admin, traces }), answers));
    server.addService(...unaryService(PolicyService, policyHandlers({ admin }), answers));
    this.health.addTo(server);
    addReflection(server, [file_p2p_api, file_teranode_p2p, file_grpc_health_v1_health], { log });
    return server;
  }
}
