// What a node tells operators about its connections, put together from the parts that know it.
import type { PeerId } from '../../domain/ids.ts';
import type { NodeDiagnosis, PeerTopics } from '../../ports/diagnosis.ts';
import type { Departures } from './connections/departures.ts';
import type { PeerBook } from './connections/peer-book.ts';
import type { PeerKeeper } from './discovery/peer-keeper.ts';
import type { Gossip } from './gossipsub/gossip.ts';
import type { TeranodeLibp2p } from './libp2p-options.ts';
import type { ReachabilityTests } from './nat/reachability.ts';
import { peerIdText } from './peer-ids.ts';

export interface DiagnosisSources {
  readonly topics: readonly string[];
  readonly book: Pick<PeerBook, 'connectedRecords' | 'protocolVersionOf'>;
  readonly departures: Pick<Departures, 'latest'>;
  /** The others are undefined while the node does not run, `reachability` where nobody is asked. */
  readonly libp2p: TeranodeLibp2p | undefined;
  readonly gossip: Pick<Gossip, 'otherTopics'> | undefined;
  readonly keeper: Pick<PeerKeeper, 'dialStates'> | undefined;
  readonly reachability: Pick<ReachabilityTests, 'state'> | undefined;
}

export function diagnosisOf(sources: DiagnosisSources): NodeDiagnosis {
  const { departures, libp2p, keeper, reachability } = sources;
  return {
    dials: keeper?.dialStates() ?? [],
    departures: departures.latest(),
    peers: peerTopics(sources),
    announced: libp2p?.getMultiaddrs().map(String) ?? [],
    reachability: reachability?.state ?? 'unknown',
  };
}

function peerTopics({ topics, book, libp2p, gossip }: DiagnosisSources): PeerTopics[] {
  const subscribed = new Map<PeerId, string[]>();
  for (const topic of topics)
    for (const peer of libp2p?.services.pubsub.getSubscribers(topic) ?? []) {
      const peerId = peerIdText(peer);
      subscribed.set(peerId, [...(subscribed.get(peerId) ?? []), topic]);
    }
  return book.connectedRecords().map(({ id, agentVersion }) => ({
    peerId: id,
    agentVersion,
    protocolVersion: book.protocolVersionOf(id),
    topics: subscribed.get(id) ?? [],
    otherTopics: gossip?.otherTopics.of(id) ?? [],
  }));
}
