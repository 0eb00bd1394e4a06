// One of our nodes: the parts that `compose` makes between the network and the node's other services, in the same
// order, over a simulated P2P node, chain, ban store and block validation. Listeners, files and metrics are left out.
import type { MemoryBroker } from '../../src/adapters/memory/broker.ts';
import { createPublisher } from '../../src/announce/publisher.ts';
import { createAnnouncers, createBusUrls } from '../../src/app/create-announcers.ts';
import { shadowRules, whitelist } from '../../src/app/create-bans.ts';
import { createWatchers } from '../../src/app/create-feeds.ts';
import { createGossip } from '../../src/app/create-gossip.ts';
import { createHandshake } from '../../src/app/create-handshake.ts';
import { createMemoryBroker, createProducers, createReportConsumers } from '../../src/app/create-kafka.ts';
import { createNetworks, type NodeFacts } from '../../src/app/create-networks.ts';
import { createPeerKeeper } from '../../src/app/create-peer-registry.ts';
import { createPeers } from '../../src/app/create-peers.ts';
import { createReports } from '../../src/app/create-reports.ts';
import { createSync } from '../../src/app/create-sync.ts';
import { Nodes } from '../../src/app/nodes.ts';
import { createSilentFeed } from '../../src/app/silent-feed.ts';
import { BanService, type BanServiceOptions } from '../../src/bans/service.ts';
import { ChainTracker } from '../../src/chain/tracker.ts';
import type { BlockAnnouncement } from '../../src/domain/announcement.ts';
import { FirstDeliveries } from '../../src/peers/first-deliveries.ts';
import { Propagation } from '../../src/peers/propagation.ts';
import type { BanStore } from '../../src/ports/ban-store.ts';
import type { Clock } from '../../src/ports/clock.ts';
import type { ConnectionPolicy } from '../../src/ports/connection-policy.ts';
import type { DataHubProber } from '../../src/ports/datahub-prober.ts';
import type { Logger } from '../../src/ports/log.ts';
import { type P2PNetwork, topicNamesOf } from '../../src/ports/network.ts';
import type { Producer } from '../../src/ports/producer.ts';
import type { Settings } from '../../src/settings/load.ts';
import { NotificationHub } from '../../src/watch/notification-hub.ts';
import type { SimulatedChain } from './blocks.ts';
import { SimulatedMetrics } from './simulated-metrics.ts';
import type { SimulatedNode } from './simulated-node.ts';

export interface MemberDependencies {
  readonly settings: Settings;
  readonly facts: NodeFacts;
  readonly clock: Clock;
  readonly log: Logger;
  readonly random: () => number;
  readonly store: BanStore;
  readonly chain: SimulatedChain;
  readonly prober: DataHubProber;
  readonly dataHubUrl: string;
  readonly makeNode: (policy: ConnectionPolicy) => SimulatedNode;
  /** Called with what the pipeline hands to Kafka; what sync requests is not. */
  readonly onHandedOn: (kind: 'block' | 'subtree', value: { hash: string; url: string; peerId: string }) => void;
}

export type Member = Awaited<ReturnType<typeof createMember>>;

/** Wires the parts; nothing runs before `start`. */
export async function createMember(deps: MemberDependencies) {
  const { settings, clock, log, random, chain: blockchain, dataHubUrl: url, prober, facts } = deps;
  const metrics = new SimulatedMetrics();
  const core = { log, metrics, clock, random };
  const memoryBroker: MemoryBroker = createMemoryBroker(settings, core);
  const dataHubUrl = () => url;
  const nodes = new Nodes();
  const keeper = createPeerKeeper(settings, core, { usesPeerRegistry: false });
  const bans = new BanService({ ...core, store: deps.store }, banOptions(settings));
  bans.attach(nodes);
  let offences = 0;
  const addScore = bans.addScore.bind(bans);
  bans.addScore = (...offence) => {
    offences += 1;
    return addScore(...offence);
  };
  const propagation = new Propagation(core);
  const deliveries = new FirstDeliveries({ ...core, propagation, isPenalized: (peerId) => bans.scoreOf(peerId) > 0 });
  const node = deps.makeNode(bans);
  const networks = createNetworks(settings, { ...core, policy: bans, deliveries }, facts, { node: () => node });
  nodes.add(node);
  const ownId = node.hostId();
  const notifications = new NotificationHub(core);
  const notify = notifications.publish.bind(notifications);
  const { recent, messages } = createWatchers(settings, { ...core, notifications });
  const silentFeed = createSilentFeed(settings, { ...core, nodes, networks });
  const chain = new ChainTracker({ ...core, blockchain });
  const { dataFolder } = facts;
  const peers = createPeers(settings, { ...core, nodes, bans, chain, prober, dataFolder, keeper, deliveries });
  const producers = await createProducers(
    settings,
    { ...core, memoryBroker },
    { blocks: undefined, subtrees: undefined },
  );
  const { registry } = peers;
  const shared = { ...core, networks, nodes, ownId, dataHubUrl, chain, bans, peers, registry };
  const all = { ...shared, notify, deliveries, traces: undefined };
  const sync = createSync(settings, { ...all, blockProducer: producers.blocks });
  const handshake = createHandshake(settings, { ...all, sync });
  const busUrls = createBusUrls(settings, dataHubUrl, log);
  const publisher = createPublisher(networks, { clientName: settings.clientName, urls: busUrls });
  const announcers = createAnnouncers(settings, {
    ...{ ...all, blockchain, blockAssembly: undefined, sync, publisher, busUrls },
  });
  const watched = {
    ...producers,
    blocks: watchedBy(producers.blocks, (value) => deps.onHandedOn('block', value)),
    subtrees: watchedBy(producers.subtrees, (value) => deps.onHandedOn('subtree', value)),
  };
  const heard = { recent, messages, silentFeed };
  const gossip = createGossip(settings, { ...all, ...heard, sync, handshake, announcers, producers: watched });
  const consumers = await createReportConsumers(settings, { ...core, memoryBroker });
  const reports = createReports(settings, { ...all, consumers, gossip, publisher });
  const lifetime = new AbortController();
  return {
    ...{ metrics, bans, node, memoryBroker, peers, sync, chain, gossip, reports },
    /** How often something was held against somebody. */
    offenceCount: () => offences,
    start: async () => {
      const { signal } = lifetime;
      await bans.start(signal);
      await producers.start(signal);
      await chain.start(signal);
      gossip.start();
      silentFeed.start();
      peers.dataHubs.start();
      peers.start();
      const handler = handshake?.streamHandler;
      await nodes.start(
        signal,
        () => handler,
        (each) => topicNamesOf(each, networks as readonly P2PNetwork[]),
      );
      handshake?.start();
      sync.start();
      announcers.bestBlockAsker.start();
      announcers.status.start();
      announcers.announcer.start();
      await reports.start(signal);
    },
    stop: async () => {
      await reports.stop(350);
      await announcers.announcer.stop();
      await announcers.status.stop();
      await announcers.bestBlockAsker.stop();
      sync.stop();
      await handshake?.stop();
      await nodes.stop();
      peers.stop();
      await peers.dataHubs.stop();
      silentFeed.stop();
      gossip.stop();
      await announcers.bestBlock.stop();
      await chain.stop();
      await producers.stop(1500);
      await bans.stop();
      lifetime.abort();
    },
  };
}

/** As `createBans` reads the settings. */
function banOptions(settings: Settings): BanServiceOptions {
  return {
    defaultDurationMs: settings.p2p_ban_default_duration,
    maxEntries: settings.p2p_ban_max_entries,
    threshold: settings.p2p_ban_threshold,
    durationMs: settings.p2p_ban_duration,
    isWhitelisted: whitelist(settings),
    isShadow: shadowRules(settings),
  };
}

function watchedBy<T extends Omit<BlockAnnouncement, 'hash'> & { readonly hash: string }>(
  producer: Producer<T>,
  onPublished: (value: T) => void,
): Producer<T> {
  return {
    start: (signal) => producer.start(signal),
    stop: (deadlineMs) => producer.stop(deadlineMs),
    probe: (deadlineMs) => producer.probe(deadlineMs),
    publish: (value, ...callbacks) => {
      onPublished(value);
      producer.publish(value, ...callbacks);
    },
  };
}
