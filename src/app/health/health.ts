// Health (spec "Health Management"). Liveness: whether this process still makes progress. Readiness: the services that
// this node depends on, asked in parallel, each within a deadline.
import type { ChainTracker } from '../../chain/tracker.ts';
import { orAfter } from '../../lib/deadline.ts';
import { singleFlight } from '../../lib/single-flight.ts';
import type { BlockchainClient } from '../../ports/blockchain-client.ts';
import type { Clock } from '../../ports/clock.ts';
import type { HealthCheck } from '../../ports/health.ts';
import type { ProbeResult, Producer } from '../../ports/producer.ts';
import type { BlockValidationClient } from '../../ports/validation-services.ts';

export interface HealthReport {
  /** HTTP status: 200, or 503 when a check failed. */
  readonly status: number;
  /** For a person: `OK`, or one line per check. */
  readonly message: string;
  readonly checks: readonly HealthCheck[];
}

type Prober = Pick<Producer<never>, 'probe'>;

export interface HealthDependencies {
  readonly liveness: { start(): void; stop(): void; report(): HealthReport };
  readonly blockchain: Pick<BlockchainClient, 'probe'>;
  readonly chain: Pick<ChainTracker, 'recentFsmState'>;
  readonly producers: { readonly blocks: Prober; readonly subtrees: Prober };
  /** Reports of the node's own validation; each topic may have brokers of its own. */
  readonly reports: { readonly invalidBlocks: Prober; readonly invalidSubtrees: Prober; readonly rejectedTxs: Prober };
  /** undefined where the settings name none. */
  readonly blockValidation: BlockValidationClient | undefined;
  /** Who keeps the histories and scores of peers; never a failure. */
  readonly keeper: { health(): ProbeResult };
  /** Number of connected peers; none is never a failure. */
  readonly connectedPeers: () => number;
  /** Whether messages still come; fails only where the settings say so. */
  readonly silentFeed: { health(): ProbeResult };
  readonly bans: { storeHealth(): ProbeResult };
  readonly clock: Clock;
}

const PROBE_DEADLINE_MS = 2000;
/** For checks that ignore their deadline; a little longer, so that the others can still say what is wrong. */
const CHECK_DEADLINE_MS = PROBE_DEADLINE_MS + 500;

export class Health {
  private readonly deps: HealthDependencies;
  /** However many ask at once, the services are asked once. */
  private readonly ask = singleFlight(() => checkReadiness(this.deps));

  constructor(deps: HealthDependencies) {
    this.deps = deps;
  }

  start(): void {
    this.deps.liveness.start();
  }

  stop(): void {
    this.deps.liveness.stop();
  }

  /** Spec: Health. Never throws; readiness settles within some seconds, whatever the services do. */
  async check(checkLiveness: boolean): Promise<HealthReport> {
    return checkLiveness ? this.deps.liveness.report() : await this.ask();
  }
}

async function checkReadiness(deps: HealthDependencies): Promise<HealthReport> {
  const { blockchain, chain, producers, reports, blockValidation, keeper, connectedPeers, silentFeed, bans } = deps;
  const checks: Record<string, () => Promise<ProbeResult>> = {
    kafka_blocks: () => producers.blocks.probe(PROBE_DEADLINE_MS),
    kafka_subtrees: () => producers.subtrees.probe(PROBE_DEADLINE_MS),
    kafka_invalid_blocks: () => reports.invalidBlocks.probe(PROBE_DEADLINE_MS),
    kafka_invalid_subtrees: () => reports.invalidSubtrees.probe(PROBE_DEADLINE_MS),
    kafka_rejected_tx: () => reports.rejectedTxs.probe(PROBE_DEADLINE_MS),
    blockchain: () => blockchain.probe(PROBE_DEADLINE_MS),
    fsm: () => fsmState(chain),
    ...(blockValidation === undefined ? {} : { block_validation: () => blockValidation.probe(PROBE_DEADLINE_MS) }),
    peer_registry: async () => keeper.health(),
    peers: async () => ({ ok: true, details: peersText(connectedPeers()) }),
    feed: async () => silentFeed.health(),
    ban_store: async () => bans.storeHealth(),
  };
  const results = await Promise.all(Object.entries(checks).map(([name, check]) => timed(name, check, deps.clock)));
  return reportOf(results);
}

export function reportOf(checks: readonly HealthCheck[]): HealthReport {
  const lines = checks.map(({ name, ok, details }) => `${name}: ${ok ? 'ok' : 'FAILED'} (${details})`);
  return { status: checks.every(({ ok }) => ok) ? 200 : 503, message: `${lines.join('\n')}\n`, checks };
}

function peersText(count: number): string {
  return count === 0 ? 'no peer is connected; run doctor' : `${count} connected`;
}

/** Peers are served in every state but IDLE. */
async function fsmState(chain: HealthDependencies['chain']): Promise<ProbeResult> {
  const state = await chain.recentFsmState();
  return { ok: state !== 'IDLE', details: state };
}

async function timed(name: string, check: () => Promise<ProbeResult>, clock: Clock): Promise<HealthCheck> {
  const startedMs = clock.monotonic();
  const { ok, details } = await settled(check);
  return { name, ok, details, tookMs: Math.round(clock.monotonic() - startedMs), atMs: clock.now() };
}

async function settled(check: () => Promise<ProbeResult>): Promise<ProbeResult> {
  const late = { ok: false, details: `no answer within ${CHECK_DEADLINE_MS} ms` };
  try {
    return await orAfter(check(), CHECK_DEADLINE_MS, late);
  } catch (error) {
    return { ok: false, details: error instanceof Error ? error.message : 'failed' };
  }
}
