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
/** What a check that keeps no deadline of its own is given; a little more, so that one which does can say what is wrong. */
const CHECK_DEADLINE_MS = PROBE_DEADLINE_MS + 500;

/** Always settles, some seconds after it was asked at the latest, whatever the parts do; never throws. */
export async function checkHealth(deps: {
  readonly blockchain: BlockchainClient;
  readonly blockProducer: Producer;
  readonly subtreeProducer: Producer;
}): Promise<HealthReport> {
  const checks: Record<string, () => Promise<ProbeResult>> = {
    kafka_blocks: () => deps.blockProducer.probe(PROBE_DEADLINE_MS),
    kafka_subtrees: () => deps.subtreeProducer.probe(PROBE_DEADLINE_MS),
    blockchain: () => deps.blockchain.probe(PROBE_DEADLINE_MS),
    fsm: () => fsmState(deps.blockchain),
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
