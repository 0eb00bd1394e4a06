// Server: init, start, stop, health (spec "Server Lifecycle Management"). The order of start and of stop, nothing else: what happens in
// between belongs to the parts.

import { validationReports } from '../bans/reports/validation-reports.ts';
import type { BanService } from '../bans/service.ts';
import type { ChainTracker } from '../chain/tracker.ts';
import type { BlockAnnouncement, SubtreeAnnouncement } from '../domain/announcement.ts';
import type { InvalidBlockReport, InvalidSubtreeReport, RejectedTxReport } from '../domain/report.ts';
import type { Gossip } from '../gossip/attach.ts';
import { P2PError } from '../lib/errors.ts';
import type { BlockchainClient } from '../ports/blockchain-client.ts';
import type { Clock } from '../ports/clock.ts';
import type { Consumer } from '../ports/consumer.ts';
import type { Logger } from '../ports/log.ts';
import type { Metrics } from '../ports/metrics.ts';
import type { P2PNode } from '../ports/p2p-node.ts';
import type { Producer } from '../ports/producer.ts';
import type { BlockValidationClient } from '../ports/validation-services.ts';
import { checkHealth, type HealthReport } from './health/health.ts';
import { Liveness } from './health/liveness.ts';
import type { NetworkMember } from './network-member.ts';

/** Something that listens for requests. */
export interface Endpoint {
  start(): Promise<void>;
  /** `host:port` as bound. */
  address(): string | undefined;
  stop(): Promise<void>;
}

/** The gRPC service, which tells clients whether the server is ready. */
export interface RpcEndpoint extends Endpoint {
  setServing(isServing: boolean): void;
}

export interface ServerDependencies {
  readonly node: P2PNode;
  readonly bans: BanService;
  readonly member: NetworkMember;
  readonly blockchain: BlockchainClient;
  readonly chain: ChainTracker;
  readonly blockProducer: Producer<BlockAnnouncement>;
  readonly subtreeProducer: Producer<SubtreeAnnouncement>;
  /** What the node's own validation reports. */
  readonly reports: {
    readonly invalidBlocks: Consumer<InvalidBlockReport>;
    readonly invalidSubtrees: Consumer<InvalidSubtreeReport>;
    readonly rejectedTxs: Consumer<RejectedTxReport>;
  };
  /** undefined where this node has none. */
  readonly blockValidation: BlockValidationClient | undefined;
  readonly grpc: RpcEndpoint;
  /** The first one is the main HTTP endpoint. They answer from the beginning, so that liveness can be probed while the node waits. */
  readonly endpoints: (server: Server) => readonly Endpoint[];
  readonly log: Logger;
  readonly metrics: Metrics;
  readonly clock: Clock;
}

export interface ServerOptions {
  /** `asset_httpPublicAddress`, else `asset_httpAddress`. */
  readonly assetHttpPublicAddress: string | undefined;
  readonly assetHttpAddress: string | undefined;
  /** `p2p_http_address`: where clients find our HTTP. */
  readonly httpAddress: string | undefined;
  /** `securityLevelHTTP` 1. */
  readonly servesHttps: boolean;
}

/** What is told when the server is ready. */
export interface ServerReady {
  readonly peerId: string;
  readonly listenAddresses: readonly string[];
  /** `host:port` as bound. */
  readonly httpAddress: string | undefined;
  readonly grpcAddress: string | undefined;
  /** What clients are told to use, with the scheme that is really served; undefined when no address is set. */
  readonly httpUrl: string | undefined;
  readonly dataHubUrl: string;
}

/** A stop ends within five seconds: what is left of this is what the next part may take. */
const STOP_BUDGET_MS = 4500;
/** Kept for the parts that come after a slow one. */
const LEAST_STOP_MS = 200;
const FLUSH_DEADLINE_MS = 2000;

export class Server {
  private readonly deps: ServerDependencies;
  private readonly options: ServerOptions;
  private readonly endpoints: readonly Endpoint[];
  private readonly lifetime = new AbortController();
  private readonly liveness: Liveness;
  private readonly undo: { readonly part: string; readonly stop: () => Promise<void> }[] = [];
  private dataHubUrl: string | undefined;
  private httpUrl: string | undefined;
  private stopping: Promise<void> | undefined;
  private readiness: Promise<HealthReport> | undefined;

  constructor(deps: ServerDependencies, options: ServerOptions) {
    this.deps = deps;
    this.options = options;
    this.liveness = new Liveness({ ...deps, pipeline: () => deps.node.gossipProgress?.() });
    this.endpoints = deps.endpoints(this);
  }

  /**
   * Picks and checks the DataHub URL that others are told, and gives the address of our own HTTP the scheme that the security level serves.
   * Throws ADDRESS_INVALID.
   */
  async init(): Promise<void> {
    const { assetHttpPublicAddress, assetHttpAddress, httpAddress, servesHttps } = this.options;
    this.dataHubUrl = pickDataHubUrl(assetHttpPublicAddress, assetHttpAddress);
    this.httpUrl = httpAddress === undefined ? undefined : servedUrl(httpAddress, servesHttps);
    if (httpAddress?.includes('://') && this.httpUrl !== httpAddress) {
      this.deps.log.warn({ httpAddress, httpUrl: this.httpUrl }, 'p2p_http_address adjusted to securityLevelHTTP');
    }
  }

  /** Waits for the chain's state machine to leave IDLE; resolves when everything runs. What was started is stopped again on failure. */
  async start(signal: AbortSignal): Promise<ServerReady> {
    const dataHubUrl = this.dataHubUrl;
    if (dataHubUrl === undefined) throw new P2PError('NODE_NOT_STARTED', 'call init before start');
    const whole = AbortSignal.any([signal, this.lifetime.signal]);
    try {
      return await this.startParts(whole, dataHubUrl);
    } catch (error) {
      await this.stop();
      // A stop that came meanwhile may have ended before the last part was up.
      await this.stopParts();
      throw error;
    }
  }

  private async startParts(signal: AbortSignal, dataHubUrl: string): Promise<ServerReady> {
    const { bans, blockchain, member, node, blockProducer, subtreeProducer, grpc, log } = this.deps;
    this.liveness.start();
    this.undo.push({ part: 'liveness', stop: async () => this.liveness.stop() });
    for (const endpoint of this.endpoints) await this.startEndpoint(endpoint, signal);
    this.undo.push({ part: 'bans', stop: () => bans.stop() });
    await bans.start(signal);
    bans.attach(node);
    await this.startEndpoint(grpc, signal);
    await blockchain.waitUntilFsmLeavesIdle(signal);
    const producers = [blockProducer, subtreeProducer];
    this.undo.push({ part: 'kafka', stop: () => flushed(producers) });
    for (const producer of producers) await producer.start(signal);
    this.undo.push({ part: 'network', stop: () => this.leaveNetwork() });
    const gossip = await member.start(signal, dataHubUrl);
    await this.startReports(gossip, signal);
    grpc.setServing(true);
    this.undo.push({ part: 'readiness', stop: async () => grpc.setServing(false) });
    log.debug({ dataHubUrl }, 'server started');
    return {
      peerId: node.hostId(),
      listenAddresses: node.listenAddresses(),
      httpAddress: this.endpoints[0]?.address(),
      grpcAddress: grpc.address(),
      httpUrl: this.httpUrl,
      dataHubUrl,
    };
  }

  private async startEndpoint(endpoint: Endpoint, signal: AbortSignal): Promise<void> {
    this.undo.push({ part: 'endpoint', stop: () => endpoint.stop() });
    await endpoint.start();
    if (!signal.aborted) return;
    await endpoint.stop();
    signal.throwIfAborted();
  }

  /** Parts of the network stop one by one, so that a slow one does not take the time of the others. */
  private async leaveNetwork(): Promise<void> {
    for (const { part, stop } of this.deps.member.parts()) {
      try {
        await stop();
      } catch (error) {
        this.deps.log.warn({ part, err: error }, 'part did not stop cleanly');
      }
    }
  }

  private async startReports({ blocks, subtrees }: Gossip, signal: AbortSignal): Promise<void> {
    const { bans, member, reports } = this.deps;
    const handlers = validationReports(
      {
        ...this.deps,
        node: member.outlet(),
        notify: (notification) => member.notifications.publish(notification),
        blocks,
        subtrees,
        offences: bans,
        isSyncing: () => member.isSyncing(),
      },
      { rejectedTxTopic: member.ownTopics().rejected_tx },
    );
    const consumers = Object.values(reports);
    this.undo.push({
      part: 'reports',
      stop: async () => void (await Promise.all(consumers.map((each) => each.stop(FLUSH_DEADLINE_MS)))),
    });
    await reports.invalidBlocks.start(handlers.invalidBlocks, signal);
    await reports.invalidSubtrees.start(handlers.invalidSubtrees, signal);
    await reports.rejectedTxs.start(handlers.rejectedTxs, signal);
  }

  /** The DataHub URL that others are told; empty before init. */
  baseUrl(): string {
    return this.dataHubUrl ?? '';
  }

  /** Undoes what start did, in reverse; bounded in time; may be called twice. What was accepted is flushed to Kafka. */
  stop(): Promise<void> {
    this.stopping ??= this.stopParts();
    return this.stopping;
  }

  private async stopParts(): Promise<void> {
    this.lifetime.abort();
    const endMs = this.deps.clock.monotonic() + STOP_BUDGET_MS;
    for (const { part, stop } of this.undo.splice(0).reverse()) {
      const leftMs = Math.max(LEAST_STOP_MS, endMs - this.deps.clock.monotonic());
      try {
        await within(stop(), leftMs);
      } catch (error) {
        this.deps.log.warn({ part, err: error }, 'part did not stop cleanly');
      }
    }
  }

  /**
   * Spec: Health. Liveness depends on nothing outside, and fails when this process is stuck; readiness asks Kafka, the blockchain, its state
   * machine and block validation, each within its deadline.
   */
  async health(checkLiveness: boolean): Promise<HealthReport> {
    if (checkLiveness) return this.liveness.report();
    // However many ask at once, what we depend on is asked once.
    this.readiness ??= checkHealth(this.deps).finally(() => {
      this.readiness = undefined;
    });
    return await this.readiness;
  }
}

/** `host:port` or a URL, with the scheme that is served. */
function servedUrl(address: string, servesHttps: boolean): string {
  return `${servesHttps ? 'https' : 'http'}://${address.replace(/^[a-z0-9]+:\/{2,3}/i, '')}`;
}

async function flushed(producers: readonly Pick<Producer<never>, 'stop'>[]): Promise<void> {
  await Promise.all(producers.map((producer) => producer.stop(FLUSH_DEADLINE_MS)));
}

/** Throws TIMEOUT when the work is not done in time. */
async function within(work: Promise<void>, deadlineMs: number): Promise<void> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_resolve, reject) => {
    timer = setTimeout(
      () => reject(new P2PError('TIMEOUT', `not done within ${Math.round(deadlineMs)} ms`)),
      deadlineMs,
    );
  });
  try {
    await Promise.race([work, late]);
  } finally {
    clearTimeout(timer);
  }
}

/** Empty when neither is set, which settings allow to a node that only listens. */
function pickDataHubUrl(publicAddress: string | undefined, address: string | undefined): string {
  const chosen = publicAddress ?? address ?? '';
  if (chosen === '') return '';
  const url = URL.canParse(chosen) ? new URL(chosen) : undefined;
  if (url === undefined || (url.protocol !== 'http:' && url.protocol !== 'https:')) {
    throw new P2PError('ADDRESS_INVALID', 'asset_httpPublicAddress or asset_httpAddress must be an http or https URL', {
      details: { value: chosen },
    });
  }
  return chosen.replace(/\/+$/, '');
}
