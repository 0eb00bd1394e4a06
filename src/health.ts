// Readiness: what this node depends on, asked in parallel, each within a deadline (spec "Health Management").
import type { BlockchainClient } from './ports/blockchain-client.ts';
import type { ProbeResult, Producer } from './ports/producer.ts';

export interface HealthReport {
  /** HTTP status: 200, or 503 when a check failed. */
  readonly status: number;
  /** For a person: `OK`, or one line a check. */
  readonly message: string;
}

const PROBE_DEADLINE_MS = 2000;

export async function checkHealth(deps: {
  readonly blockchain: BlockchainClient;
  readonly blockProducer: Producer;
  readonly subtreeProducer: Producer;
}): Promise<HealthReport> {
  const checks: Record<string, Promise<ProbeResult>> = {
    kafka_blocks: deps.blockProducer.probe(PROBE_DEADLINE_MS),
    kafka_subtrees: deps.subtreeProducer.probe(PROBE_DEADLINE_MS),
    blockchain: deps.blockchain.probe(PROBE_DEADLINE_MS),
    fsm: fsmState(deps.blockchain),
  };
  const names = Object.keys(checks);
  const results = await Promise.all(Object.values(checks).map(settled));
  const lines = results.map((result, i) => `${names[i]}: ${result.ok ? 'ok' : 'FAILED'} (${result.details})`);
  return { status: results.every((result) => result.ok) ? 200 : 503, message: `${lines.join('\n')}\n` };
}

/** Any state but IDLE serves peers. */
async function fsmState(blockchain: BlockchainClient): Promise<ProbeResult> {
  const state = await blockchain.fsmState();
  return { ok: state !== 'IDLE', details: state };
}

async function settled(check: Promise<ProbeResult>): Promise<ProbeResult> {
  try {
    return await check;
  } catch (error) {
    return { ok: false, details: error instanceof Error ? error.message : 'failed' };
  }
}
