// The one implementation of AdminApi: bans, the P2P node and what this node shows of itself, behind one door for gRPC,
// HTTP and the command line.
import type { BanService } from '../bans/service.ts';
import type { ChainTracker } from '../chain/tracker.ts';
import type { NetworkEndpoint } from '../domain/endpoint.ts';
import type { PeerId } from '../domain/ids.ts';
import { orAfter } from '../lib/deadline.ts';
import { P2PError } from '../lib/errors.ts';
import type { FirstDeliveries } from '../peers/first-deliveries.ts';
import type { Propagation } from '../peers/propagation.ts';
import type { PeerRegistry, RegisteredPeer } from '../peers/registry.ts';
import type { AdminApi, NodeView, OwnAddresses, SettingView, SyncView, TopicView } from '../ports/admin-api.ts';
import type { BlockchainClient } from '../ports/blockchain-client.ts';
import type { Diagnosis, NodeDiagnosis } from '../ports/diagnosis.ts';
import type { Metrics } from '../ports/metrics.ts';
import type { P2PNode } from '../ports/p2p-node.ts';
import type { SyncExplanations, SyncStatus } from '../ports/sync-status.ts';
import type { SyncPeerRow } from '../sync/choose-sync-peer.ts';
import type { History } from '../watch/history.ts';
import type { MessageCounts } from '../watch/message-counts.ts';
import type { PeerClocks } from '../watch/peer-clocks.ts';
import type { Recent } from '../watch/recent.ts';
import type { Silence } from '../watch/silence.ts';
import { ChainHeaders } from './chain-headers.ts';
import { anyReason, peerIdInput, scoreReason } from './inputs.ts';
import { type KnownPeerSources, knownPeerOperations } from './known-peers.ts';
import { networkView } from './network-view.ts';
import { type PeerViewSources, peerView } from './peer-view.ts';

export interface AdminApiDependencies extends Omit<KnownPeerSources, 'isBanned' | 'banScoreOf'> {
  readonly bans: BanService;
  readonly node: Pick<P2PNode, 'currentlyConnectedPeers' | 'connectPeer' | 'disconnectPeer' | 'getTopic'>;
  readonly registry: Pick<PeerRegistry, 'get' | 'list'>;
  /** A peer as the choice of a sync peer sees it. */
  readonly syncRow: (peer: RegisteredPeer) => SyncPeerRow;
  readonly isWhitelisted: (peerId: PeerId) => boolean;
  readonly chain: Pick<ChainTracker, 'recentBestHeader' | 'recentFsmState' | 'tip'>;
  readonly deliveries: Pick<FirstDeliveries, 'standingOf' | 'table'>;
  readonly propagation: Pick<Propagation, 'view'>;
  readonly blockchain: Pick<BlockchainClient, 'blockHeader'>;
  readonly metrics: Pick<Metrics, 'gauge'>;
  readonly sync: SyncStatus & SyncExplanations;
  /** Full names of the topics that this node joins. */
  readonly topicNames: () => readonly string[];
  readonly own: () => OwnAddresses;
  /** Readiness; never throws. */
  readonly readiness: () => Promise<{ readonly status: number; readonly checks: NodeView['checks'] }>;
  readonly endpoints: { list(): readonly NetworkEndpoint[] };
  readonly messages: Pick<MessageCounts, 'lastMinute'>;
  /** undefined while none is kept. */
  readonly history: Pick<History, 'blocks' | 'hours'> | undefined;
  /** Connections of all nodes. */
  readonly connections: () => NodeDiagnosis;
  /** What came through the topics. */
  readonly feed: Pick<Silence, 'feed' | 'lastMessages'>;
  readonly peerClocks: Pick<PeerClocks, 'offsetsMs'>;
  readonly recent: Pick<Recent, 'announcements' | 'verdicts'>;
  /** As they are in force, secrets masked. */
  readonly settings: readonly SettingView[];
  /** Whether `addScore` takes any reason, as services of 2026 expect. Default false. */
  readonly acceptsAnyReason?: boolean;
}

const CHAIN_DEADLINE_MS = 2000;
/** However often operators ask, the blockchain service is asked once per second. */
const CHAIN_AGE_MS = 1000;

export function createAdminApi(deps: AdminApiDependencies): AdminApi {
  const { bans } = deps;
  const sources = {
    ...deps,
    isBanned: (peerId: PeerId) => bans.isBanned(peerId),
    banScoreOf: (peerId: PeerId) => bans.scoreOf(peerId),
  };
  return {
    ...peerOperations(deps, sources),
    ...knownPeerOperations(sources),
    ...banOperations(deps),
    ...nodeOperations(deps),
  };
}

type PeerOperations = Pick<AdminApi, 'peers' | 'peer' | 'league' | 'connect' | 'disconnect' | 'addScore'>;
type BanOperations = Pick<AdminApi, 'banPage' | 'isBanned' | 'ban' | 'unban' | 'clearBans' | 'explain'>;

function peerOperations(deps: AdminApiDependencies, sources: PeerViewSources): PeerOperations {
  const { bans, node, acceptsAnyReason = false } = deps;
  const recordOf = (peerId: PeerId) => node.currentlyConnectedPeers().find(({ id }) => id === peerId);
  return {
    peers: () => node.currentlyConnectedPeers().map((record) => peerView(record, sources)),
    peer: (text) => {
      const record = recordOf(peerIdInput(text));
      return record && peerView(record, sources);
    },
    league: () => deps.deliveries.table(),
    connect: (address) => node.connectPeer(address),
    disconnect: async (text) => {
      const peerId = peerIdInput(text);
      if (recordOf(peerId) === undefined)
        throw new P2PError('PEER_UNREACHABLE', `not connected to ${peerId}`, { details: { peerId } });
      await node.disconnectPeer(peerId);
    },
    addScore: async (text, reason) => {
      const facts = { role: 'author', rule: 'operator', topic: '', hash: undefined } as const;
      const given = acceptsAnyReason ? anyReason(reason) : scoreReason(reason);
      return await bans.addScore(peerIdInput(text), given, facts).counted;
    },
  };
}

function banOperations({ bans }: AdminApiDependencies): BanOperations {
  return {
    banPage: (offset, limit) => bans.page(offset, limit),
    isBanned: (text) => bans.isSubjectBanned(text),
    ban: (text, untilMs, reason) => bans.ban(text, untilMs, reason),
    unban: (text) => bans.unban(text),
    clearBans: async () => {
      const hadAny = bans.page(0, 0).total > 0;
      return { hadAny, isStored: await bans.clear() };
    },
    explain: (text) => bans.explain(text),
  };
}

type NodeOperations = Pick<
  AdminApi,
  | 'status'
  | 'sync'
  | 'network'
  | 'headers'
  | 'historyBlocks'
  | 'historyHours'
  | 'topics'
  | 'diagnosis'
  | 'settings'
  | 'recentAnnouncements'
  | 'recentVerdicts'
  | 'endpoints'
>;

function nodeOperations(deps: AdminApiDependencies): NodeOperations {
  const { recent, settings, topicNames, node, metrics } = deps;
  const headers = new ChainHeaders({
    metrics,
    bestHeader: () => deps.chain.recentBestHeader(CHAIN_AGE_MS),
    header: (hash) => deps.blockchain.blockHeader(hash),
  });
  return {
    status: (isBrief) => nodeView(deps, isBrief),
    sync: () => syncView(deps),
    network: () => {
      const agents = new Map(node.currentlyConnectedPeers().map(({ id, agentVersion }) => [id, agentVersion]));
      const { registry, chain, messages } = deps;
      const sources = { own: chain.tip(), topics: messages.lastMinute(), agentOf: (id: PeerId) => agents.get(id) };
      const { deliveries, propagation } = deps;
      const view = networkView({ ...sources, peers: registry.list(), league: deliveries.table() });
      return { ...view, spread: propagation.view() };
    },
    historyBlocks: async (range) => await keptHistory(deps).blocks(range),
    historyHours: async (range) => await keptHistory(deps).hours(range),
    headers: (block, count) => headers.list(block, count),
    topics: () => topicNames().flatMap((name) => topicView(node, name)),
    diagnosis: () => diagnosis(deps),
    settings: () => settings,
    recentAnnouncements: () => recent.announcements(),
    recentVerdicts: () => recent.verdicts(),
    endpoints: () => deps.endpoints.list(),
  };
}

async function nodeView(deps: AdminApiDependencies, isBrief: boolean): Promise<NodeView> {
  const known = { ...deps.own(), connectedPeers: deps.node.currentlyConnectedPeers().length };
  if (isBrief) {
    const chain = { fsmState: undefined, bestHeight: undefined, bestBlockHash: undefined, ...explainedSync(deps.sync) };
    return { ...known, ...chain, isReady: false, checks: [] };
  }
  const [chain, { status, checks }] = await Promise.all([syncView(deps), deps.readiness()]);
  return { ...known, ...chain, isReady: status === 200, checks };
}

async function syncView({ chain, sync }: AdminApiDependencies): Promise<SyncView> {
  const [fsmState, best] = await Promise.all([
    known(chain.recentFsmState(CHAIN_AGE_MS)),
    known(chain.recentBestHeader(CHAIN_AGE_MS)),
  ]);
  return { fsmState, bestHeight: best?.height, bestBlockHash: best?.hash, ...explainedSync(sync) };
}

function explainedSync(sync: AdminApiDependencies['sync']): Pick<SyncView, 'syncPeer' | 'choice' | 'lastEnd'> {
  return { syncPeer: sync.syncPeer(), choice: sync.choice(), lastEnd: sync.lastEnd() };
}

function keptHistory({ history }: AdminApiDependencies): Pick<History, 'blocks' | 'hours'> {
  if (history === undefined) throw new P2PError('HISTORY_OFF', 'no history is kept (see the setting p2p_history_days)');
  return history;
}

function diagnosis(deps: AdminApiDependencies): Diagnosis {
  const { state, silentForMs } = deps.feed.feed();
  const last = deps.feed.lastMessages();
  const topics = deps.topicNames().flatMap((name) =>
    topicView(deps.node, name).map(({ subscribers, mesh }) => ({
      name,
      subscribers: subscribers.length,
      mesh: mesh.length,
      lastMessageMs: last.get(name),
    })),
  );
  return { ...deps.connections(), topics, clockOffsetsMs: deps.peerClocks.offsetsMs(), feed: { state, silentForMs } };
}

/** None when this node has not joined the topic. */
function topicView(node: AdminApiDependencies['node'], name: string): TopicView[] {
  const topic = node.getTopic(name);
  return topic === undefined ? [] : [{ name, subscribers: topic.subscribers(), mesh: topic.mesh() }];
}

/** undefined when the blockchain service fails or does not answer in time. */
async function known<T>(answer: Promise<T>): Promise<T | undefined> {
  return await orAfter(answer, CHAIN_DEADLINE_MS, undefined).catch(() => undefined);
}
