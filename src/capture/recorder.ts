// Records the inputs of a running node, and what was decided on each. The clock stands still during an input, so that a
// replay, whose clock only knows the times of records, comes to the same decisions.
import type { BlockHash, PeerId } from '../domain/ids.ts';
import { BoundedMap } from '../lib/bounded-map.ts';
import type { Clock } from '../ports/clock.ts';
import type { PeerRecord } from '../ports/p2p-node.ts';
import { encodeFrame } from './frame.ts';
import { type CaptureHead, type CaptureRecord, contentOf, type SideInput, type StateKind } from './records.ts';
import { type Decision, FROM_OUTSIDE, type InputKind, type InputValue, type Tap, type Tick } from './tap.ts';

/** What the node's chain and sync say now; asked before each input. */
export interface ChainFacts {
  readonly tip:
    | { readonly hash: string; readonly height: number; readonly target: bigint; readonly time: number }
    | undefined;
  readonly isSyncing: boolean;
  readonly fsmState: string | undefined;
  readonly syncPeer: { readonly peerId: PeerId; readonly height: number } | undefined;
}

export interface RecorderDependencies {
  readonly clock: Clock;
  readonly write: (frame: Buffer | undefined) => void;
  /** Called before each input: a file that begins with the state does so before the input changes it. */
  readonly makeRoom: () => void;
  /** Resolves when many records can be written, or at that monotonic time. */
  readonly room: (untilMs: number) => Promise<void>;
}

interface Current {
  readonly nowMs: number;
  readonly monotonicMs: number;
  readonly decisions: Decision[];
  readonly side: SideInput[];
  readonly dropped: string[];
}

/** For the disk, at the start of the node. */
const MAX_WAIT_MS = 2000;
/** As many as the chain keeps. */
const MAX_HEADERS = 2016;

export class Recorder implements Tap {
  readonly clock: Clock;
  private readonly deps: RecorderDependencies;
  private current: Current | undefined;
  private isSide = false;
  private chainOf: () => ChainFacts = () => NO_CHAIN;
  private chain: ChainFacts = NO_CHAIN;
  private readonly headers = new BoundedMap<BlockHash, number>({ max: MAX_HEADERS });
  private newHeaders: [BlockHash, number][] = [];
  /** Addresses by peer, as last recorded. */
  private peers = new Map<PeerId, string>();

  constructor(deps: RecorderDependencies) {
    this.deps = deps;
    const { clock } = deps;
    this.clock = {
      now: () => this.current?.nowMs ?? clock.now(),
      monotonic: () => this.current?.monotonicMs ?? clock.monotonic(),
    };
  }

  /** Whether an input is being handled. */
  get isUnderWay(): boolean {
    return this.current !== undefined;
  }

  /** From now on the state of the chain is recorded before the input that finds it changed. */
  watchChain(facts: () => ChainFacts): void {
    this.chainOf = facts;
  }

  headerKept(hash: BlockHash, height: number): void {
    this.headers.set(hash, height);
    if (this.newHeaders.length < MAX_HEADERS) this.newHeaders.push([hash, height]);
  }

  input<T>(kind: InputKind, value: InputValue, act: () => T, blobs: readonly Uint8Array[] = []): T {
    if (this.current !== undefined) return this.nested(this.current, kind, value, act);
    this.recordChain();
    this.deps.makeRoom();
    const { clock } = this.deps;
    const times = { nowMs: clock.now(), monotonicMs: clock.monotonic() };
    const current: Current = { ...times, decisions: [], side: [], dropped: [] };
    this.current = current;
    try {
      return act();
    } finally {
      this.current = undefined;
      this.write({ type: 'input', kind, value, blobs, ...current });
    }
  }

  tick(of: Tick, act: () => void): void {
    this.input('tick', { of }, act);
  }

  side(act: () => void): void {
    const was = this.isSide;
    this.isSide = true;
    try {
      act();
    } finally {
      this.isSide = was;
    }
  }

  decided(decision: Decision): void {
    if (this.current !== undefined) this.current.decisions.push(decision);
    else this.write({ type: 'late', decisions: [decision], ...this.now() });
  }

  /** A record left the queue to Kafka without reaching it. */
  dropped(key: string, act: () => void): void {
    this.current?.dropped.push(key);
    if (this.current !== undefined) act();
    else this.input('dropped', { key }, act);
  }

  /** As `state`, for more than the buffer may take at once. */
  async states(kind: StateKind, values: readonly InputValue[]): Promise<void> {
    const untilMs = performance.now() + MAX_WAIT_MS;
    for (const value of values) {
      await this.deps.room(untilMs);
      this.state(kind, value);
    }
  }

  state(kind: StateKind, value: InputValue): void {
    this.write({ type: 'state', kind, value, ...this.now() });
  }

  /** Records which peers are connected from where, as far as that changed. */
  connectedPeers(records: readonly PeerRecord[]): void {
    const now = new Map(records.map(({ id, addresses }) => [id, addresses.join(' ')]));
    const open = records.filter(({ id }) => this.peers.get(id) !== now.get(id));
    const closed = [...this.peers.keys()].filter((id) => !now.has(id));
    if (open.length === 0 && closed.length === 0 && isInOrder(this.peers, now)) return;
    for (const id of closed) this.peers.delete(id);
    for (const { id } of open) this.peers.set(id, now.get(id) ?? '');
    // Which peer is cut first is a decision too: the order counts.
    if (isInOrder(this.peers, now)) {
      this.state('peers', { open: open.map(({ id, addresses }) => [id, addresses]), closed });
      return;
    }
    this.peers = now;
    this.state('peers', this.allPeers());
  }

  head(head: CaptureHead): Buffer[] {
    return this.frames([{ type: 'head', head, ...this.now() }]);
  }

  /** The records that repeat the whole state of chain and peers. */
  stateFrames(): Buffer[] {
    return this.frames([
      { type: 'state', kind: 'chain', value: { ...this.chain }, ...this.now() },
      { type: 'state', kind: 'headers', value: { headers: [...this.headers.oldestFirst()] }, ...this.now() },
      { type: 'state', kind: 'peers', value: this.allPeers(), ...this.now() },
    ]);
  }

  snapshotFrames(values: readonly InputValue[]): Buffer[] {
    return this.frames(values.map((value) => ({ type: 'state', kind: 'snapshot', value, ...this.now() })));
  }

  gapFrames(records: number): Buffer[] {
    return [...this.frames([{ type: 'gap', records, ...this.now() }]), ...this.stateFrames()];
  }

  end(): void {
    this.write({ type: 'end', ...this.now() });
  }

  /** Part of the input under way, unless it comes from outside of the replayed parts. */
  private nested<T>(current: Current, kind: InputKind, value: InputValue, act: () => T): T {
    if (!this.isSide && !FROM_OUTSIDE.has(kind)) return act();
    current.side.push({ kind, value });
    const was = this.isSide;
    this.isSide = false;
    try {
      return act();
    } finally {
      this.isSide = was;
    }
  }

  private allPeers(): InputValue {
    const open = [...this.peers].map(([id, text]) => [id, text === '' ? [] : text.split(' ')]);
    return { open, closed: [], isWhole: true };
  }

  private recordChain(): void {
    const now = this.chainOf();
    const { chain } = this;
    if (
      now.tip !== chain.tip ||
      now.isSyncing !== chain.isSyncing ||
      now.fsmState !== chain.fsmState ||
      now.syncPeer?.peerId !== chain.syncPeer?.peerId ||
      now.syncPeer?.height !== chain.syncPeer?.height
    ) {
      this.chain = now;
      this.state('chain', { ...now });
    }
    if (this.newHeaders.length === 0) return;
    const headers = this.newHeaders;
    this.newHeaders = [];
    this.state('headers', { headers });
  }

  private now() {
    const { clock } = this;
    return { nowMs: clock.now(), monotonicMs: clock.monotonic() };
  }

  private write(record: CaptureRecord): void {
    this.deps.write(encodeFrame(contentOf(record)));
  }

  private frames(records: readonly CaptureRecord[]): Buffer[] {
    return records.flatMap((record) => encodeFrame(contentOf(record)) ?? []);
  }
}

function isInOrder(a: ReadonlyMap<PeerId, unknown>, b: ReadonlyMap<PeerId, unknown>): boolean {
  if (a.size !== b.size) return false;
  const others = b.keys();
  for (const id of a.keys()) if (others.next().value !== id) return false;
  return true;
}

const NO_CHAIN: ChainFacts = { tip: undefined, isSyncing: false, fsmState: undefined, syncPeer: undefined };
