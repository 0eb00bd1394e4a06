// Converts what a node knows of its connections to its protobuf message and back. Empty on the wire means unknown.
import type { MessageInitShape } from '@bufbuild/protobuf';
import type { PeerId } from '../../domain/ids.ts';
import type { DiagnoseResponse, DiagnoseResponseSchema } from '../../gen/teranode_p2p_pb.js';
import type { Diagnosis } from '../../ports/diagnosis.ts';

const REACHABILITIES = ['public', 'private', 'unknown'] as const;
const FEEDS = ['alone', 'flowing', 'silent'] as const;

export function diagnosisMessage(diagnosis: Diagnosis): MessageInitShape<typeof DiagnoseResponseSchema> {
  const { dials, departures, peers, topics, announced, reachability, clockOffsetsMs, feed } = diagnosis;
  return {
    dials: dials.map(({ address, names, isConnected, failures, stage = '', failure = '' }) => ({
      ...{ address, names: [...names], failures, stage, failure },
      connected: isConnected,
    })),
    departures: departures.map(({ peerId, address, direction, atMs, livedMs, closedBy, reason }) => ({
      ...{ peerId, address, reason },
      inbound: direction === 'inbound',
      atMs: BigInt(atMs),
      livedMs: BigInt(livedMs),
      byNode: closedBy === 'node',
    })),
    peers: peers.map(({ peerId, agentVersion = '', protocolVersion = '', topics: joined, otherTopics }) => ({
      ...{ peerId, agentVersion, protocolVersion },
      topics: [...joined],
      otherTopics: [...otherTopics],
    })),
    topics: topics.map(({ name, subscribers, mesh, lastMessageMs = 0 }) => ({
      ...{ name, subscribers, mesh },
      lastMessageMs: BigInt(lastMessageMs),
    })),
    announced: [...announced],
    reachability,
    clockOffsetsMs: clockOffsetsMs.map((ms) => BigInt(Math.round(ms))),
    feed: feed.state,
    silentForMs: BigInt(Math.round(feed.silentForMs)),
  };
}

export function diagnosisOfMessage(message: DiagnoseResponse): Diagnosis {
  return {
    dials: message.dials.map(({ address, names, connected, failures, stage, failure }) => ({
      ...{ address, names, failures },
      isConnected: connected,
      stage: stage || undefined,
      failure: failure || undefined,
    })),
    departures: message.departures.map(({ peerId, address, inbound, atMs, livedMs, byNode, reason }) => ({
      peerId: peerId as PeerId,
      ...{ address, reason },
      direction: inbound ? 'inbound' : 'outbound',
      atMs: Number(atMs),
      livedMs: Number(livedMs),
      closedBy: byNode ? 'node' : 'peer',
    })),
    peers: message.peers.map(({ peerId, agentVersion, protocolVersion, topics, otherTopics }) => ({
      peerId: peerId as PeerId,
      agentVersion: agentVersion || undefined,
      protocolVersion: protocolVersion || undefined,
      ...{ topics, otherTopics },
    })),
    topics: message.topics.map(({ name, subscribers, mesh, lastMessageMs }) => ({
      ...{ name, subscribers, mesh },
      lastMessageMs: Number(lastMessageMs) || undefined,
    })),
    announced: message.announced,
    reachability: REACHABILITIES.find((each) => each === message.reachability) ?? 'unknown',
    clockOffsetsMs: message.clockOffsetsMs.map(Number),
    feed: {
      state: FEEDS.find((each) => each === message.feed) ?? 'alone',
      silentForMs: Number(message.silentForMs),
    },
  };
}
