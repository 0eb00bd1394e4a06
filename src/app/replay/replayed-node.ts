// The parts of a node that decide, composed as in the server, without a network: what a capture recorded is fed to them.

import type { CapturedNetwork, CaptureHead, CaptureRecord } from '../../capture/records.ts';
import { type Decision, FROM_OUTSIDE, type InputKind } from '../../capture/tap.ts';
import { TappedBans } from '../../capture/tapped-bans.ts';
import { handedKey } from '../../capture/tapped-parts.ts';
import { TappedHistories, TappedRegistry } from '../../capture/tapped-peers.ts';
import type { BlockHash, PeerId } from '../../domain/ids.ts';
import type { Gossip, GossipNetwork } from '../../gossip/attach.ts';
import { BoundedMap } from '../../lib/bounded-map.ts';
import { P2PError } from '../../lib/errors.ts';
import type { ConsumedMessage, Consumer, MessageHandler } from '../../ports/consumer.ts';
import type { Logger } from '../../ports/log.ts';
import type { Metrics } from '../../ports/metrics.ts';
import type { PeerRecord, TopicHandler } from '../../ports/p2p-node.ts';
import type { Settings } from '../../settings/load.ts';
import { WIRE_FORMATS, type WireName } from '../../wire/format.ts';
import { parsePeerId } from '../../wire/peer-id.ts';
import { banOptions } from '../create-bans.ts';
import { createGossip } from '../create-gossip.ts';
import { historyOptions, keptPeers } from '../create-peers.ts';
import { createReports } from '../create-reports.ts';
import { applyInput, handlerKey, type ReplayedParts } from './apply-input.ts';
import { applyState, type ChainState } from './apply-state.ts';
import { ReplayTap } from './replay-tap.ts';
import { ReplayedStore } from './replayed-store.ts';

const SILENT: Logger = { trace() {}, debug() {}, info() {}, warn() {}, error() {} };
const NOTHING = { add: () => {}, observe: () => {} };
const UNMEASURED: Metrics = { counter: () => NOTHING, histogram: () => NOTHING, gauge: () => {}, gauges: () => {} };
/** As many as wait for Kafka at most. */
const MAX_HANDED = 100_000;

type Input = Extract<CaptureRecord, { readonly type: 'input' }>;

export class ReplayedNode {
  readonly bans: TappedBans;
  private readonly tap = new ReplayTap();
  private readonly store = new ReplayedStore();
  private readonly chain: ChainState = { tip: undefined, isSyncing: false, fsmState: undefined, syncPeer: undefined };
  private readonly headers = new BoundedMap<BlockHash, number>({ max: 2016 });
  private readonly peers = new Map<PeerId, PeerRecord>();
  private readonly handed = new BoundedMap<string, () => void>({ max: MAX_HANDED });
  private readonly parts: ReplayedParts;
  /** Of the message under way. */
  private since: number | undefined;
  private handlingMs = 0;
  private isStarted = false;

  /** Throws FILE_UNUSABLE for a head that no node has written. */
  constructor(head: CaptureHead, settings: Settings) {
    const core = { clock: this.tap.clock, log: SILENT, metrics: UNMEASURED, random: () => 0, tap: this.tap };
    const ownId = checked(parsePeerId(head.ownId), 'own peer ID');
    const bans = new TappedBans({ ...core, store: this.store }, banOptions(settings));
    bans.attach({
      currentlyConnectedPeers: () => [...this.peers.values()],
      disconnectPeer: async (peerId) => this.tap.decided(['cut', peerId]),
      retryDials: () => {},
    });
    this.bans = bans;
    const registry = new TappedRegistry(core);
    const histories = new TappedHistories({ ...core, isKept: keptPeers(registry, bans) }, historyOptions(settings, ''));
    const handlers = new Map<string, TopicHandler>();
    const nodes = new Map<number, GossipNetwork['node']>();
    const networks = head.networks.map((network) => this.network(network, handlers, nodes));
    const gossip = this.gossip(settings, { ...core, ownId, bans, registry, histories, networks });
    const reports = this.reports(settings, { ...core, ownId, bans, registry, histories, gossip });
    this.parts = { bans, registry, histories, gossip, handlers, reports, handed: this.handed };
  }

  /** What is decided on an input. Throws TypeError and the like for values that no node has written. */
  input(record: Input): readonly Decision[] {
    const { value, kind, side, dropped } = record;
    this.tap.setTime(record);
    this.since = typeof value.since === 'number' ? value.since : undefined;
    this.handlingMs = typeof value.ms === 'number' ? value.ms : 0;
    let waiting = side;
    const runSide = (isNow: (kind: InputKind) => boolean = () => true) => {
      const now = waiting.filter((each) => isNow(each.kind));
      waiting = waiting.filter((each) => !isNow(each.kind));
      for (const each of now) applyInput(this.parts, each.kind, each.value, []);
    };
    const act = () => {
      applyInput(this.parts, kind, value, record.blobs);
      // A message that is not processed now does not come to what followed from it then.
      runSide((each) => kind !== 'gossip' || FROM_OUTSIDE.has(each));
      for (const key of dropped) this.handed.get(key)?.();
    };
    return this.tap.run(act, () => runSide());
  }

  state(record: Extract<CaptureRecord, { readonly type: 'state' }>): void {
    this.tap.setTime(record);
    const { chain, headers, peers, store } = this;
    applyState(record.kind, record.value, { chain, headers, peers, store, ...this.parts });
  }

  /** Puts the bans of the capture in force; to be called when their rows were given. */
  async start(): Promise<void> {
    if (this.isStarted) return;
    this.isStarted = true;
    await this.bans.start(new AbortController().signal);
  }

  async stop(): Promise<void> {
    await this.bans.stop();
  }

  private network(
    { name, wire, topicPrefix, topics, node }: CapturedNetwork,
    handlers: Map<string, TopicHandler>,
    nodes: Map<number, GossipNetwork['node']>,
  ): GossipNetwork {
    if (!Object.hasOwn(WIRE_FORMATS, wire)) throw unusable(`wire "${wire.slice(0, 100)}"`);
    const shared = nodes.get(node) ?? {
      connectedSinceMs: () => this.since,
      setTopicHandler: (topic: string, handler: TopicHandler) => void handlers.set(handlerKey(node, topic), handler),
    };
    nodes.set(node, shared);
    return { name, topicPrefix, topics, wire: WIRE_FORMATS[wire as WireName], node: shared };
  }

  private gossip(settings: Settings, deps: Core & { readonly networks: readonly GossipNetwork[] }): Gossip {
    const { tap, handed } = this;
    const publish = (kind: 'block' | 'subtree') => ({
      publish: (
        value: { readonly hash: string; readonly url: string; readonly peerId: string },
        onDropped?: () => void,
      ) => {
        tap.decided(['handed', kind, value.hash, value.peerId, value.url]);
        if (onDropped !== undefined) handed.set(handedKey(kind, value), onDropped);
      },
    });
    return createGossip(settings, {
      ...deps,
      chain: this.chainView(),
      peers: deps,
      sync: { syncPeer: () => this.chain.syncPeer },
      nodes: { updatePeerHeight: () => {} },
      handshake: { topicMessage: () => tap.side(() => {}) },
      announcers: { bestBlock: { requested: () => {} } },
      notify: () => {},
      traces: undefined,
      deliveries: { deliveredFirst: () => {} },
      producers: { blocks: publish('block'), subtrees: publish('subtree') },
      recent: { result: () => {} },
      messages: { result: () => {} },
      silentFeed: { heard: () => {} },
      tap: { tap, handlingMs: () => this.handlingMs },
    });
  }

  private reports(settings: Settings, deps: Core & { readonly gossip: Gossip }): ReplayedParts['reports'] {
    const handlers: { [of: string]: (message: ConsumedMessage<never>) => unknown } = {};
    const consumer = <T>(of: string): Consumer<T> => ({
      start: async (handler: MessageHandler<T>) => {
        handlers[of] = handler;
      },
      probe: async () => ({ ok: true, details: '' }),
      stop: async () => {},
    });
    const reports = createReports(settings, {
      ...deps,
      chain: this.chainView(),
      consumers: {
        invalidBlocks: consumer('invalid_block'),
        invalidSubtrees: consumer('invalid_subtree'),
        rejectedTxs: consumer('rejected_tx'),
      },
      peers: deps,
      publisher: {
        publish: async (announcement) => {
          if (announcement.kind === 'rejected_tx') this.tap.decided(['announced', announcement.message.txId]);
          return 'published';
        },
      },
      traces: undefined,
      deliveries: { takeBack: () => {} },
      notify: () => {},
    });
    // Each consumer starts at once, but one after the other.
    this.readers = reports.start(new AbortController().signal);
    return handlers;
  }

  /** Resolves when reports are read. */
  readers: Promise<void> = Promise.resolve();

  private chainView() {
    const { chain, headers } = this;
    return {
      tip: () => chain.tip,
      isSyncing: () => chain.isSyncing,
      fsmState: () => chain.fsmState,
      heightOf: (hash: BlockHash) => headers.get(hash),
    };
  }
}

interface Core {
  readonly clock: ReplayTap['clock'];
  readonly log: Logger;
  readonly metrics: Metrics;
  readonly random: () => number;
  readonly ownId: PeerId;
  readonly bans: TappedBans;
  readonly registry: TappedRegistry;
  readonly histories: TappedHistories;
}

function checked<T>(value: T | undefined, what: string): T {
  if (value === undefined) throw unusable(what);
  return value;
}

function unusable(what: string): P2PError {
  return new P2PError('FILE_UNUSABLE', `the capture has an invalid ${what}`);
}
