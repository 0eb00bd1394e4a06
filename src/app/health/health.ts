// Readiness: what this node depends on, asked in parallel, each within a deadline. Liveness: whether this process still moves (spec "Health
// Management").
import type { ChainTracker } from '../../chain/tracker.ts';
import type { BlockchainClient } from '../../ports/blockchain-client.ts';
import type { Clock } from '../../ports/clock.ts';
import type { Consumer } from '../../ports/consumer.ts';
import type { HealthCheck } from '../../ports/node-view.ts';
import type { ProbeResult, Producer } from '../../ports/producer.ts';
import type { BlockValidationClient } from '../../ports/validation-services.ts';

export interface HealthReport {
  /** HTTP status: 200, or 503 when a check failed. */
  readonly status: number;
  /** For a person: `OK`, or one line a check. */
  readonly message: string;
  readonly checks: readonly HealthCheck[];
}

export interface HealthDependencies {
  readonly blockchain: Pick<BlockchainClient, 'probe'>;
  readonly chain: Pick<ChainTracker, 'recentFsmState'>;
  readonly blockProducer: Producer;
  readonly subtreeProducer: Producer;
  /** What the node's own validation reports; each may come from brokers of its own. */
  readonly reports: {
    readonly invalidBlocks: Consumer;
    readonly invalidSubtrees: Consumer;
    readonly rejectedTxs: Consumer;
  };
  /** undefined where this node has none. */
  readonly blockValidation: BlockValidationClient | undefined;
  readonly clock: Clock;
}

const PROBE_DEADLINE_MS = 2000;
/** What a check that keeps no deadline of its own is given; a little more, so that one which does can say what is wrong. */
const CHECK_DEADLINE_MS = PROBE_DEADLINE_MS + 500;

/** Always settles, some seconds after it was asked at the latest, whatever the parts do; never throws. */
export async function checkHealth(deps: HealthDependencies): Promise<HealthReport> {
  const { blockchain, chain, blockProducer, subtreeProducer, reports, blockValidation } = deps;
  const checks: Record<string, () => Promise<ProbeResult>> = {
    kafka_blocks: () => blockProducer.probe(PROBE_DEADLINE_MS),
    kafka_subtrees: () => subtreeProducer.probe(PROBE_DEADLINE_MS),
    kafka_invalid_blocks: () => reports.invalidBlocks.probe(PROBE_DEADLINE_MS),
    kafka_invalid_subtrees: () => reports.invalidSubtrees.probe(PROBE_DEADLINE_MS),
    kafka_rejected_tx: () => reports.rejectedTxs.probe(PROBE_DEADLINE_MS),
    blockchain: () => blockchain.probe(PROBE_DEADLINE_MS),
    fsm: () => fsmState(chain),
    ...(blockValidation === undefined ? {} : { block_validation: () => blockValidation.probe(PROBE_DEADLINE_MS) }),
  };
  const results = await Promise.all(Object.entries(checks).map(([name, check]) => timed(name, check, deps.clock)));
  return reportOf(results);
}

export function reportOf(checks: readonly HealthCheck[]): HealthReport {
  const lines = checks.map(({ name, ok, details }) => `${name}: ${ok ? 'ok' : 'FAILED'} (${details})`);
  return { status: checks.every(({ ok }) => ok) ? 200 : 503, message: `${lines.join('\n')}\n`, checks };
}

/** Any state but IDLE serves peers. */
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
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<ProbeResult>((resolve) => {
    timer = setTimeout(resolve, CHECK_DEADLINE_MS, { ok: false, details: `no answer within ${CHECK_DEADLINE_MS} ms` });
  });
  try {
    return await Promise.race([check(), late]);
  } catch (error) {
    return { ok: false, details: error instanceof Error ? error.message : 'failed' };
  } finally {
    clearTimeout(timer);
  }
}
