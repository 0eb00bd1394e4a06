// Server: init, start, stop, health (spec "Server Lifecycle Management"). A thin face over the lifecycle of the parts
// and the health check.
import { P2PError } from '../lib/errors.ts';
import type { Logger } from '../ports/log.ts';
import type { Health, HealthReport } from './health/health.ts';
import type { Lifecycle } from './lifecycle.ts';

/** Something that listens for requests. */
export interface Endpoint {
  start(): Promise<void>;
  /** `host:port` as bound. */
  address(): string | undefined;
  stop(): Promise<void>;
}

export interface ServerDependencies {
  readonly lifecycle: Pick<Lifecycle, 'start' | 'stop'>;
  readonly health: Pick<Health, 'check'>;
  /** What runs, asked once everything does. */
  readonly running: () => Omit<ServerReady, 'dataHubUrl'>;
  readonly log: Logger;
}

export interface ServerOptions {
  /** `p2p_http_address` as it is set. */
  readonly httpAddress: string | undefined;
  /** The same with the scheme that is really served. */
  readonly httpUrl: string | undefined;
  /** Where others fetch our blocks; empty for none. Asked for when everything has started. */
  readonly dataHubUrl: () => string;
}

/** What the server tells when it is ready. */
export interface ServerReady {
  readonly peerId: string;
  readonly listenAddresses: readonly string[];
  /** The same by network. */
  readonly networks: readonly {
    readonly wire: string;
    readonly topicPrefix: string;
    readonly listenAddresses: readonly string[];
  }[];
  /** `host:port` as bound. */
  readonly httpAddress: string | undefined;
  readonly grpcAddress: string | undefined;
  /** What clients should use, with the scheme and port that are really served; undefined while HTTP is not served. */
  readonly httpUrl: string | undefined;
  readonly dataHubUrl: string;
}

export class Server {
  private readonly deps: ServerDependencies;
  private readonly options: ServerOptions;
  private isInitialized = false;

  constructor(deps: ServerDependencies, options: ServerOptions) {
    this.deps = deps;
    this.options = options;
  }

  /** Warns when the scheme of `p2p_http_address` is not the one that the security level serves. */
  async init(): Promise<void> {
    const { httpAddress, httpUrl } = this.options;
    if (httpAddress?.includes('://') && httpUrl !== httpAddress)
      this.deps.log.warn({ httpAddress, httpUrl }, 'p2p_http_address adjusted to securityLevelHTTP');
    this.isInitialized = true;
  }

  /**
   * Waits for the blockchain's state machine to leave IDLE; resolves when everything runs. Undoes what it began when it
   * fails.
   */
  async start(signal: AbortSignal): Promise<ServerReady> {
    if (!this.isInitialized) throw new P2PError('NODE_NOT_STARTED', 'call init before start');
    await this.deps.lifecycle.start(signal);
    // Known once the HTTP listener is bound.
    const dataHubUrl = this.options.dataHubUrl();
    this.deps.log.debug({ dataHubUrl }, 'server started');
    return { ...this.deps.running(), dataHubUrl };
  }

  /**
   * Undoes what start did, in reverse, within the budgets of the parts; may be called twice. Kafka producers are
   * flushed.
   */
  stop(): Promise<void> {
    return this.deps.lifecycle.stop();
  }

  /**
   * Spec: Health. Liveness fails when this process is stuck; readiness asks Kafka, the blockchain, its state machine
   * and block validation.
   */
  health(checkLiveness: boolean): Promise<HealthReport> {
    return this.deps.health.check(checkLiveness);
  }
}
