// What makes this server a member of its network: it hears, greets, announces, keeps a registry and chooses whom to sync from. The parts know
// nothing of one another; here they meet, and here is their order.
import { Announcer } from '../announce/announcer.ts';
import { BestBlockAnnouncer } from '../announce/best-block.ts';
import { BestBlockAsker } from '../announce/best-block-asker.ts';
import { NodeStatusAnnouncer } from '../announce/node-status.ts';
import { outlet } from '../announce/outlet.ts';
import type { BanService } from '../bans/service.ts';
import type { ChainTracker } from '../chain/tracker.ts';
import type { BlockAnnouncement, SubtreeAnnouncement } from '../domain/announcement.ts';
import type { PeerId } from '../domain/ids.ts';
import type { Notification } from '../domain/notification.ts';
import { attachGossip, type Gossip, type GossipOptions, type TopicNames } from '../gossip/attach.ts';
import { Handshake } from '../handshake/handshake.ts';
import { P2PError } from '../lib/errors.ts';
import { DataHubHealth } from '../peers/datahub/datahub-health.ts';
import { dataHubUrlCheck } from '../peers/datahub/datahub-url.ts';
import { checkOwnDataHub } from '../peers/datahub/own-datahub.ts';
import { PeerRegistry, type RegisteredPeer } from '../peers/registry.ts';
import type { Clock } from '../ports/clock.ts';
import type { DataHubProber } from '../ports/datahub-prober.ts';
import type { Logger } from '../ports/log.ts';
import type { Metrics } from '../ports/metrics.ts';
import type { P2PNode } from '../ports/p2p-node.ts';
import type { Producer } from '../ports/producer.ts';
import type { BlockAssemblyClient } from '../ports/validation-services.ts';
import type { SyncPeerRow } from '../sync/choose-sync-peer.ts';
import { SyncManager, type SyncManagerOptions } from '../sync/sync-manager.ts';
import { syncPeerRow } from '../sync/sync-peer-row.ts';
import { NotificationHub } from '../watch/notification-hub.ts';
import { Recent } from '../watch/recent.ts';

export interface NetworkMemberDependencies {
  readonly node: P2PNode;
  readonly bans: BanService;
  readonly chain: ChainTracker;
  readonly blockProducer: Producer<BlockAnnouncement>;
  readonly subtreeProducer: Producer<SubtreeAnnouncement>;
  readonly prober: DataHubProber;
  readonly blockAssembly: BlockAssemblyClient | undefined;
  readonly log: Logger;
  readonly metrics: Metrics;
  readonly clock: Clock;
  readonly random: () => number;
}

export interface NetworkMemberOptions extends Omit<GossipOptions, 'topics'> {
  /** Prefix and full topic names of each network that this node belongs to; our own first. */
  readonly networks: readonly { readonly topicPrefix: string; readonly topics: TopicNames }[];
  /** `teranode/bitcoin/<version>`. */
  readonly userAgent: string;
  readonly handshake: { readonly topicSize: number; readonly topicTimeoutMs: number };
  readonly sync: SyncManagerOptions;
  /** How this node presents itself, beside what changes. */
  readonly presents: {
    readonly version: string;
    readonly commitHash: string;
    readonly clientName: string;
    readonly listenMode: string;
  };
}

/** This node is a full node (wire.md, "Handshake, when and how"). */
const FULL_NODE = 1n;
const PURGE_INTERVAL_MS = 60_000;

export class NetworkMember {
  readonly registry: PeerRegistry;
  readonly notifications: NotificationHub;
  readonly sync: SyncManager;
  readonly recent: Recent;
  private readonly dataHubs: DataHubHealth;
  private status: NodeStatusAnnouncer | undefined;
  private readonly deps: NetworkMemberDependencies;
  private readonly options: NetworkMemberOptions;
  private readonly undo: { readonly part: string; readonly stop: () => Promise<void> }[] = [];

  constructor(deps: NetworkMemberDependencies, options: NetworkMemberOptions) {
    this.deps = deps;
    this.options = options;
    this.registry = new PeerRegistry(deps);
    this.notifications = new NotificationHub(deps);
    this.dataHubs = new DataHubHealth(deps);
    this.recent = new Recent(this.notifications);
    this.sync = this.syncManager();
  }

  /** Joins the network; resolves when the node listens and all parts run. `undo` fills up as it goes, for `stop`. */
  async start(signal: AbortSignal, dataHubUrl: string): Promise<Gossip> {
    const { chain, node } = this.deps;
    await this.begin(
      'chain',
      () => chain.start(signal),
      () => chain.stop(),
    );
    await checkOwnDataHub(this.deps.prober, dataHubUrl, this.deps.log, signal);
    const handshake = this.handshake(dataHubUrl);
    const bestBlock = this.bestBlock();
    const gossip = this.attach(handshake, bestBlock);
    this.undo.push({ part: 'best block', stop: () => bestBlock.stop() });
    this.dataHubs.watch(() => this.dataHubUrls());
    await this.begin(
      'DataHub checks',
      async () => this.dataHubs.start(),
      () => this.dataHubs.stop(),
    );
    this.watchConnections(handshake);
    const topics = this.topicNames();
    await this.begin(
      'node',
      () => node.start(signal, handshake.streamHandler, topics),
      () => node.stop(),
    );
    await this.begin(
      'handshake',
      async () => handshake.start(),
      () => handshake.stop(),
    );
    await this.begin(
      'sync',
      async () => this.sync.start(),
      async () => this.sync.stop(),
    );
    const asker = this.bestBlockAsker(bestBlock);
    await this.begin(
      'best block of others',
      async () => asker.start(),
      async () => asker.stop(),
    );
    const status = this.statusAnnouncer(dataHubUrl);
    this.status = status;
    await this.begin(
      'node status',
      async () => status.start(),
      () => status.stop(),
    );
    const announcer = this.announcer(dataHubUrl);
    await this.begin(
      'announcer',
      async () => announcer.start(),
      () => announcer.stop(),
    );
    return gossip;
  }

  /** What was begun, latest first, each to be stopped by the caller within its own budget. */
  parts(): { readonly part: string; readonly stop: () => Promise<void> }[] {
    return this.undo.splice(0).reverse();
  }

  /** How this node stands now; what was said last while it is asked. Throws NODE_NOT_STARTED before it runs. */
  async ownStatus() {
    if (this.status === undefined) throw new P2PError('NODE_NOT_STARTED', 'this node has no status yet');
    return await this.status.currentNotification();
  }

  /** What this node says goes out under each prefix. */
  outlet() {
    const [own] = this.options.networks;
    const names = Object.keys(own?.topics ?? {}) as (keyof TopicNames)[];
    const siblings = names.map((name) => this.options.networks.map(({ topics }) => topics[name]));
    return outlet(this.deps.node, new Map(siblings.map((all) => [all[0] ?? '', all] as const)));
  }

  /** Full names of all topics that this node joins. */
  topicNames(): readonly string[] {
    return this.options.networks.flatMap(({ topics }) => Object.values(topics));
  }

  /** A peer as the choice of a sync peer sees it now. */
  syncRow(peer: RegisteredPeer): SyncPeerRow {
    const { bans } = this.deps;
    return syncPeerRow(peer, {
      isBanned: (peerId) => bans.isBanned(peerId),
      scoreOf: (peerId) => bans.scoreOf(peerId),
      healthOf: (url) => this.dataHubs.state(url),
      ownHeightOf: (hash) => this.deps.chain.heightOf(hash),
    });
  }

  /** As last heard of the state machine; false before the first time. */
  isSyncing(): boolean {
    return this.deps.chain.isSyncing();
  }

  /** Names under our own prefix. */
  ownTopics(): TopicNames {
    const [own] = this.options.networks;
    if (own === undefined) throw new RangeError('a member belongs to one network at least');
    return own.topics;
  }

  private async begin(part: string, start: () => Promise<void>, stop: () => Promise<void>): Promise<void> {
    this.undo.push({ part, stop });
    await start();
  }

  private attach(handshake: Handshake, bestBlock: BestBlockAnnouncer): Gossip {
    const { bans, clock } = this.deps;
    const gossip = attachGossip(
      {
        ...this.deps,
        sync: this.sync,
        isBanned: (peerId) => bans.isBanned(peerId),
        scores: bans,
        registry: this.registry,
        notify: (notification) => this.notifications.publish(notification),
        handshake: (message, author) => handshake.topicMessage(message, author),
        bestBlockAsked: (author) => bestBlock.requested(author),
        onResult: (envelope, result) => this.recent.result(envelope, result, clock.now()),
      },
      { ...this.options, topics: this.options.networks.map(({ topics }) => topics) },
    );
    this.undo.push({ part: 'pipeline', stop: async () => gossip.stop() });
    return gossip;
  }

  private handshake(dataHubUrl: string): Handshake {
    const { node, bans, chain, clock, log, metrics, random } = this.deps;
    const { networks, userAgent, policy } = this.options;
    const urlFault = dataHubUrlCheck(policy.dataHubUrls);
    return new Handshake(
      {
        node,
        chain,
        registry: this.registry,
        isConnected: (peerId) => this.registry.get(peerId)?.isConnected === true,
        isBanned: (peerId) => bans.isBanned(peerId),
        charge: (peerId, rule) =>
          void bans.addScore(peerId, 'protocol_violation', { role: 'author', rule, topic: '', hash: undefined }),
        onAhead: (peerId) => this.sync.peerAhead(peerId),
        clock,
        log,
        metrics,
        random,
      },
      {
        networks: networks.map(({ topicPrefix, topics }) => ({ topicPrefix, topic: topics.handshake })),
        userAgent,
        dataHubUrl,
        services: FULL_NODE,
        ...this.options.handshake,
        mayUseUrl: (url) => urlFault(url) === undefined,
      },
    );
  }

  /** The registry first: whoever is told next finds the peer there. */
  private watchConnections(handshake: Handshake): void {
    const { node } = this.deps;
    node.setPeerConnectedCallback((peerId) => {
      this.registry.connected(peerId);
      handshake.peerConnected(peerId);
    });
    node.setPeerDisconnectedCallback((peerId) => this.registry.disconnected(peerId));
    const forget = this.registry.onDisconnected((peerId) => this.sync.peerLeft(peerId));
    const timer = setInterval(() => this.registry.purge(), PURGE_INTERVAL_MS);
    timer.unref();
    this.undo.push({
      part: 'registry',
      stop: async () => {
        clearInterval(timer);
        forget();
      },
    });
  }

  private syncManager(): SyncManager {
    const { bans, chain, blockProducer, clock, log, metrics, random } = this.deps;
    return new SyncManager(
      {
        candidates: () => this.registry.connectedList().map((peer) => this.syncRow(peer)),
        chain,
        publishBlock: (announcement) => blockProducer.publish(announcement),
        penalizeFailure: (peerId: PeerId) => {
          const facts = { topic: '', hash: undefined };
          void bans.addScore(peerId, 'catch_up_failure', { role: 'author', rule: 'peer_failure', ...facts });
          bans.noteAtHost(this.registry.get(peerId)?.dataHubUrl ?? '', 'catch_up_failure', facts);
        },
        connectedCount: () => this.registry.connectedList().length,
        clock,
        random,
        log,
        metrics,
      },
      this.options.sync,
    );
  }

  private *dataHubUrls(): Generator<string> {
    for (const { dataHubUrl } of this.registry.connectedList()) if (dataHubUrl !== undefined) yield dataHubUrl;
  }

  private bestBlock(): BestBlockAnnouncer {
    const notify = (notification: Notification) => this.notifications.publish(notification);
    return new BestBlockAnnouncer(
      { ...this.deps, node: this.outlet(), notify },
      { topic: this.ownTopics().best_block },
    );
  }

  private bestBlockAsker(bestBlock: BestBlockAnnouncer): BestBlockAsker {
    const names = this.options.networks.map(({ topics }) => topics.best_block);
    const { chain, node, clock, log } = this.deps;
    return new BestBlockAsker({
      request: () => bestBlock.request(),
      subscribers: () => names.reduce((sum, name) => sum + (node.getTopic(name)?.subscribers().length ?? 0), 0),
      isHeightKnown: () => this.registry.connectedList().some(({ claimed }) => claimed !== undefined),
      isRunning: () => chain.fsmState() === 'RUNNING',
      clock,
      log,
    });
  }

  private statusAnnouncer(dataHubUrl: string): NodeStatusAnnouncer {
    const notify = (notification: Notification) => this.notifications.publish(notification);
    return new NodeStatusAnnouncer(
      { ...this.deps, node: this.outlet(), sync: this.sync, notify },
      { topic: this.ownTopics().node_status, baseUrl: dataHubUrl, ...this.options.presents },
    );
  }

  private announcer(dataHubUrl: string): Announcer {
    const { block, subtree, mining_on: miningOn } = this.ownTopics();
    return new Announcer(
      { ...this.deps, node: this.outlet(), notify: (notification) => this.notifications.publish(notification) },
      { dataHubUrl, topics: { block, subtree, miningOn } },
    );
  }
}
