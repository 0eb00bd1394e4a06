// What a node knows about its connections beyond the peers it has: whom it dialled in vain, who disconnected and why,
// and what connected peers subscribe to. For `doctor` and other tools of operators; nothing is decided by it.
import type { PeerId } from '../domain/ids.ts';

/** Maximum number of disconnects that a node remembers; the oldest is overwritten. */
export const MAX_DEPARTURES = 100;

/** A connection that ended. */
export interface Departure {
  readonly peerId: PeerId;
  /** Multiaddr of the other end. */
  readonly address: string;
  readonly direction: 'inbound' | 'outbound';
  /** Unix ms of the end. */
  readonly atMs: number;
  readonly livedMs: number;
  readonly closedBy: 'peer' | 'node';
  /** In a few words; may contain text of a library. */
  readonly reason: string;
}

/** A peer that the operator listed: how the dials to it went. */
export interface DialState {
  /** Multiaddr. */
  readonly address: string;
  /** Listed names that resolved to this address. */
  readonly names: readonly string[];
  readonly isConnected: boolean;
  /** Failed dials in a row. */
  readonly failures: number;
  /** How far the last failed dial got, in words; undefined before the first. */
  readonly stage: string | undefined;
  /** Why the last dial failed, in words; undefined when none failed since the peer was connected last. */
  readonly failure: string | undefined;
}

/** What a connected peer says of the networks it belongs to. */
export interface PeerTopics {
  readonly peerId: PeerId;
  readonly agentVersion: string | undefined;
  /** Of identify; undefined before it and for peers without one. */
  readonly protocolVersion: string | undefined;
  /** Topics of this node that it subscribes to. */
  readonly topics: readonly string[];
  /** Topics of others that it subscribes to: the first ones. */
  readonly otherTopics: readonly string[];
}

/** A topic that this node has joined. */
export interface TopicState {
  /** Full name. */
  readonly name: string;
  readonly subscribers: number;
  /** Peers with which full messages are exchanged. */
  readonly mesh: number;
  /** Unix ms of its last valid message; undefined before the first. */
  readonly lastMessageMs: number | undefined;
}

/** All nodes of a server together, and what came through them. */
export interface Diagnosis extends NodeDiagnosis {
  readonly topics: readonly TopicState[];
  /** `alone`: no connected peer shares a topic. `silent`: some do, and no valid message came for too long. */
  /** Clocks of peers against ours in ms, one for each: positive when theirs is ahead. */
  readonly clockOffsetsMs: readonly number[];
  readonly feed: { readonly state: 'alone' | 'flowing' | 'silent'; readonly silentForMs: number };
}

export interface NodeDiagnosis {
  readonly dials: readonly DialState[];
  /** Latest first, at most `MAX_DEPARTURES`. */
  readonly departures: readonly Departure[];
  readonly peers: readonly PeerTopics[];
  /** Multiaddrs at which this node tells others to reach it. */
  readonly announced: readonly string[];
  /** As peers found it by dialling back (AutoNAT v2); `unknown` also where nobody was asked. */
  readonly reachability: 'public' | 'private' | 'unknown';
}
