// A node's block validation: reads what our server hands over through Kafka, fetches it from the DataHub named there,
// catches up where blocks in between are missing, and reports what is invalid.
import { decodeKafkaBlock, encodeKafkaInvalidBlock } from '../../src/adapters/kafka/codec.ts';
import { type MemoryBroker, MemoryConsumer } from '../../src/adapters/memory/broker.ts';
import type { BlockAnnouncement } from '../../src/domain/announcement.ts';
import type { BlockHash } from '../../src/domain/ids.ts';
import type { BlockHeaderRecord } from '../../src/ports/blockchain-client.ts';
import type { Logger } from '../../src/ports/log.ts';
import type { Metrics } from '../../src/ports/metrics.ts';
import type { Block, Blocks, SimulatedChain } from './blocks.ts';
import type { Random } from './random.ts';
import type { Trace } from './trace.ts';
import type { VirtualTime } from './virtual-time.ts';

/** What a DataHub answers: a block, bytes that are none, or nothing. */
export type Served = Block | 'garbage' | undefined;

export interface ReportedBlock {
  readonly hash: BlockHash;
  readonly atMs: number;
  /** As the report names them; empty where it does not. */
  readonly peerId: string;
  readonly url: string;
  /** The state machine was at RUNNING when the report was written. */
  readonly isRunning: boolean;
}

export interface ValidationDependencies {
  readonly time: VirtualTime;
  readonly random: Random;
  readonly trace: Trace;
  readonly name: string;
  readonly chain: SimulatedChain;
  readonly blocks: Blocks;
  readonly broker: MemoryBroker;
  readonly log: Logger;
  readonly metrics: Metrics;
  /** Asks a DataHub, if this node reaches it. */
  readonly fetch: (url: string, hash: BlockHash) => Served;
  readonly onReport: (report: ReportedBlock) => void;
}

export interface ValidationOptions {
  readonly blocksTopic: string;
  readonly reportsTopic: string;
  /** Whether reports say from whom the block was fetched, as services of message-bus do. */
  readonly namesPeer: boolean;
}

const FETCH_MS = { least: 20, most: 400 };

export class Validation {
  private readonly deps: ValidationDependencies;
  private readonly options: ValidationOptions;
  private readonly consumer: MemoryConsumer<BlockAnnouncement>;
  private readonly fetching = new Set<string>();
  private isStopped = false;

  constructor(deps: ValidationDependencies, options: ValidationOptions) {
    this.deps = deps;
    this.options = options;
    const topic = { topic: options.blocksTopic, groupId: 'validation', replay: false, decode: decodeKafkaBlock };
    this.consumer = new MemoryConsumer(deps, topic);
  }

  async start(signal: AbortSignal): Promise<void> {
    await this.consumer.start(({ value }) => {
      if (value.ok) void this.take(value.message);
    }, signal);
  }

  async stop(): Promise<void> {
    this.isStopped = true;
    await this.consumer.stop();
  }

  private async take(announced: BlockAnnouncement): Promise<void> {
    const { hash, url } = announced;
    const { time, random, chain } = this.deps;
    const key = `${hash} ${url}`;
    if (chain.has(hash) || this.fetching.has(key)) return;
    this.fetching.add(key);
    await time.pause(random.between(FETCH_MS.least, FETCH_MS.most));
    if (!this.isStopped && !chain.has(hash)) await this.takeFetched(announced, this.deps.fetch(url, hash));
    this.fetching.delete(key);
  }

  private async takeFetched(announced: BlockAnnouncement, served: Served): Promise<void> {
    const { chain, trace, name } = this.deps;
    if (served === undefined) {
      trace.note(`. ${name} fetched nothing of ${announced.hash.slice(0, 8)}`);
      this.failed(announced);
    } else if (served === 'garbage' || !served.isValid) this.report(announced, announced.hash);
    else {
      const missing = this.missingBelow(served.record);
      if (missing.length === 0) chain.add(served.record);
      else await this.catchUp(announced, [...missing, served.record]);
    }
  }

  /** Oldest first. */
  private missingBelow(record: BlockHeaderRecord): BlockHeaderRecord[] {
    const missing: BlockHeaderRecord[] = [];
    const { blocks, chain } = this.deps;
    for (
      let at = blocks.parentOf(record);
      at !== undefined && !chain.has(at.record.hash);
      at = blocks.parentOf(at.record)
    )
      missing.unshift(at.record);
    return missing;
  }

  private async catchUp(announced: BlockAnnouncement, records: readonly BlockHeaderRecord[]): Promise<void> {
    const { chain, time, random, trace, name } = this.deps;
    if (chain.currentState !== 'RUNNING') return;
    trace.note(`${name} catches up ${records.length} blocks to ${records.at(-1)?.height}`);
    chain.setFsmState('CATCHINGBLOCKS');
    let isFailed = false;
    for (const record of records) {
      await time.pause(random.between(1, FETCH_MS.least));
      const served = this.deps.fetch(announced.url, record.hash);
      isFailed = served === undefined || served === 'garbage' || !served.isValid;
      if (isFailed || this.isStopped) break;
      chain.add(record);
    }
    chain.setFsmState('RUNNING');
    if (isFailed && !this.isStopped) this.failed(announced);
  }

  private failed({ peerId }: BlockAnnouncement): void {
    this.deps.chain.notify({ type: 'peer_failure', peerId, failureType: 'catchup', reason: 'not served' });
  }

  private report({ url, peerId: from }: BlockAnnouncement, hash: BlockHash): void {
    const { broker, trace, name, time, chain, onReport } = this.deps;
    const peerId = this.options.namesPeer ? from : '';
    trace.note(`${name} reports ${hash.slice(0, 8)} as invalid${peerId === '' ? '' : ' and names its peer'}`);
    onReport({ hash, atMs: time.nowMs, peerId, url, isRunning: chain.currentState === 'RUNNING' });
    const report = { hash, reason: 'block invalid', peerId, peerUrl: this.options.namesPeer ? url : '' };
    broker.append(this.options.reportsTopic, encodeKafkaInvalidBlock(report));
  }
}
