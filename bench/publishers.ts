// Go nodes that publish subtree announcements with a number and the time in their URL.
import { busSubtree } from '../test/support/bus-network.ts';
import { GoPeer } from '../test/support/go-peer.ts';
import { GoScored } from '../test/support/go-scored.ts';
import { allTopics, DATA_HUB, PSK } from '../test/support/network.ts';
import { subtreeTopic, type Wire } from './receiver-port.ts';

/**
 * Go drops what its queue of 32 for a neighbour cannot hold. On two cores the publisher itself is often late by that
 * much, which says nothing of the receiver: the load generator gets a longer one, the same for all receivers.
 */
const QUEUE = 4096;

export const PUBLISHERS = ['library', 'light'] as const;
/**
 * `library`: a Go node in the receiver's mesh, as those of the network. `light`: a Go program that writes to its own
 * gossip stream. The library verifies what it has signed before it sends it, which takes more than a core at 12,000 per
 * second; a light publisher takes less than half, drops nothing, and is slowed down where the receiver is slow.
 */
export type PublisherKind = (typeof PUBLISHERS)[number];

interface PublishStatus {
  readonly running: number;
  readonly published: number;
  readonly tookMs: number;
}

export interface Publisher {
  connect(address: string): Promise<unknown>;
  hasInMesh(peerId: string): Promise<boolean>;
  /** In the background; the first announcement has the number `first`. */
  publish(job: { first: number; count: number; ratePerSecond: number }): Promise<unknown>;
  /** Of all jobs, and the time of the last one. */
  status(): Promise<PublishStatus>;
  /** RPCs that its queue for the receiver could not hold; one announcement each. */
  dropped(receiverId: string): Promise<number>;
  cpuMicros(): Promise<number>;
  stop(): Promise<void>;
}

export function startPublisher(wire: Wire, kind: PublisherKind): Promise<Publisher> {
  return wire === 'message-bus' ? busPublisher(kind) : goP2pPublisher(kind);
}

/** It is in no mesh: it is ready as soon as it is connected. */
function connecting(peer: GoPeer | GoScored, kind: PublisherKind, topic: string) {
  if (kind === 'light')
    return { connect: (address: string) => peer.lightConnect(address), hasInMesh: async () => true };
  return {
    connect: (address: string) => peer.connect(address),
    hasInMesh: async (peerId: string) => (await peer.mesh()).mesh[topic]?.includes(peerId) === true,
  };
}

async function goP2pPublisher(kind: PublisherKind): Promise<Publisher> {
  const topic = subtreeTopic('go-p2p');
  const peer = await GoPeer.start({ psk: PSK, topics: allTopics('regtest'), discard: true, outboundQueue: QUEUE });
  return {
    ...connecting(peer, kind, topic),
    publish: ({ count, ...job }) => peer.publishMany({ topic, subtrees: count, light: kind === 'light', ...job }),
    status: () => peer.publishStatus(),
    dropped: async () => (await peer.mesh()).counts.dropRPC ?? 0,
    cpuMicros: async () => (await peer.rusage()).cpuMicros,
    stop: () => peer.stop(),
  };
}

async function busPublisher(kind: PublisherKind): Promise<Publisher> {
  const topic = subtreeTopic('message-bus');
  const peer = await GoScored.start({ network: 'regtest', discard: true, outboundQueue: QUEUE });
  const message = { ...busSubtree('{PEER_ID}'), Hash: '{HASH}', DataHubURL: `${DATA_HUB}/n={NUMBER}/t={TIME_NS}` };
  const template = JSON.stringify(message);
  return {
    ...connecting(peer, kind, topic),
    publish: (job) => peer.publishMany({ topic, template, light: kind === 'light', ...job }),
    status: () => peer.publishStatus(),
    dropped: async (receiverId) => (await peer.rpcs(receiverId)).counts.dropRPC ?? 0,
    cpuMicros: async () => (await peer.rusage()).cpuMicros,
    stop: () => peer.stop(),
  };
}
