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

export function startPublisher(wire: Wire): Promise<Publisher> {
  return wire === 'message-bus' ? busPublisher() : goP2pPublisher();
}

async function goP2pPublisher(): Promise<Publisher> {
  const topic = subtreeTopic('go-p2p');
  const peer = await GoPeer.start({ psk: PSK, topics: allTopics('regtest'), discard: true, outboundQueue: QUEUE });
  return {
    connect: (address) => peer.connect(address),
    hasInMesh: async (peerId) => (await peer.mesh()).mesh[topic]?.includes(peerId) === true,
    publish: ({ count, ...job }) => peer.publishMany({ topic, subtrees: count, ...job }),
    status: () => peer.publishStatus(),
    dropped: async () => (await peer.mesh()).counts.dropRPC ?? 0,
    cpuMicros: async () => (await peer.rusage()).cpuMicros,
    stop: () => peer.stop(),
  };
}

async function busPublisher(): Promise<Publisher> {
  const topic = subtreeTopic('message-bus');
  const peer = await GoScored.start({ network: 'regtest', discard: true, outboundQueue: QUEUE });
  const message = { ...busSubtree('{PEER_ID}'), Hash: '{HASH}', DataHubURL: `${DATA_HUB}/n={NUMBER}/t={TIME_NS}` };
  const template = JSON.stringify(message);
  return {
    connect: (address) => peer.connect(address),
    hasInMesh: async (peerId) => (await peer.mesh()).mesh[topic]?.includes(peerId) === true,
    publish: (job) => peer.publishMany({ topic, template, ...job }),
    status: () => peer.publishStatus(),
    dropped: async (receiverId) => (await peer.rpcs(receiverId)).counts.dropRPC ?? 0,
    cpuMicros: async () => (await peer.rusage()).cpuMicros,
    stop: () => peer.stop(),
  };
}
