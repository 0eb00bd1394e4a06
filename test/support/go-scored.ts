// Drives the second mode of test/interop/go-bus: a plain go-libp2p host with the gossip of the message-bus wire, which scores
// its neighbors as the bus does since v0.1.23 and shows what they send. Its own messages go out in the bus's envelope.
import { BusPeer, type BusReceived, startBusProgram } from './go-bus.ts';

/**
 * What the host drops itself says nothing about its neighbors, and the library's 32 are too few on a busy machine.
 */
const QUEUES = { outboundQueue: 4096, validateQueue: 4096 };
export const ADDRESS_1_0 = '/p2p-msg-bus/peer-addr-request/1.0.0';
export const ADDRESS_1_1 = '/p2p-msg-bus/peer-addr-request/1.1.0';

export interface GoScoredOptions {
  /** Name in its envelopes; default `scored`. */
  readonly name?: string;
  readonly privateKey?: string;
  /** Default 127.0.0.1 and a free port. */
  readonly listen?: readonly string[];
  /** Default both, TLS first. */
  readonly security?: 'tls' | 'noise' | 'both';
  readonly agent?: string;
  readonly network?: string;
  readonly protocolVersion?: string;
  /** Default the network's four. */
  readonly topics?: readonly string[];
  /** Full multiaddrs of peers that are never grafted and always forwarded to. */
  readonly directPeers?: readonly string[];
  readonly outboundQueue?: number;
  readonly validateQueue?: number;
  /** Verify and count what is received, keep nothing. */
  readonly discard?: boolean;
}

export interface ScoredReceived extends BusReceived {
  /** Whole gossip data; `text` is the inner message. */
  readonly data: Buffer;
  readonly neighbour: string;
  /** Hex. */
  readonly seqno: string;
  readonly signatureBytes: number;
  /** Whether the message carried its author's key. */
  readonly hasKey: boolean;
}

export interface PeerScore {
  readonly score: number;
  /** Of all inspections since start or `forgetScores`. */
  readonly lowest: number;
  /** The counter, not its contribution to the score; above 6 it costs. */
  readonly behaviourPenalty: number;
  readonly highestPenalty: number;
  /** Always 0 here: the library leaves loopback addresses out. */
  readonly ipColocationFactor: number;
  readonly appSpecificScore: number;
}

/** One RPC of gossip without its messages; numbers count message ids. */
export interface GossipFrame {
  readonly atNs: number;
  readonly subscribe?: readonly string[];
  readonly unsubscribe?: readonly string[];
  readonly graft?: readonly string[];
  readonly prune?: readonly { topic: string; backoffSeconds: number; peers: number }[];
  readonly ihave?: number;
  readonly iwant?: number;
  readonly idontwant?: number;
  readonly extensions?: boolean;
  readonly messages?: number;
}

export type GossipCount =
  | 'frames'
  | 'messages'
  | 'subscribe'
  | 'unsubscribe'
  | 'graft'
  | 'prune'
  | 'ihave'
  | 'iwant'
  | 'idontwant';

export interface GossipTraffic {
  readonly counts: Readonly<Partial<Record<GossipCount, number>>>;
  /** Those with anything but messages, the oldest 20,000. */
  readonly frames: readonly GossipFrame[];
}

export interface AddressAnswer {
  readonly protocol: string;
  readonly text: string;
  /** Empty when the answer was read to its end, or once if so asked. */
  readonly error: string;
  readonly ms: number;
}

export class GoScored extends BusPeer {
  static async start(options: GoScoredOptions = {}): Promise<GoScored> {
    const { program, info } = await startBusProgram('scored', {
      name: 'scored',
      network: 'mainnet',
      ...QUEUES,
      ...options,
    });
    return new GoScored(program, info);
  }

  disconnect(peerId: string): Promise<unknown> {
    return this.program.send('disconnect', { peerId });
  }

  /** Subscribes; also to a topic that was left. */
  join(topic: string): Promise<unknown> {
    return this.program.send('join', { topic });
  }

  /** Unsubscribes, which prunes the whole mesh of the topic with a back-off of 10 s. */
  leave(topic: string): Promise<unknown> {
    return this.program.send('leave', { topic });
  }

  /** Any bytes, without an envelope. */
  publishRaw(topic: string, data: Uint8Array | string): Promise<unknown> {
    return this.program.send('publishRaw', { topic, data: Buffer.from(data).toString('base64') });
  }

  /**
   * Connects a host of its own that publishes to one neighbour at less than half of the cost:
   * test/interop/go-bus/light.go.
   * Resolves with its id.
   */
  lightConnect(address: string): Promise<string> {
    return this.program.send('lightConnect', { address });
  }

  /** One enveloped message each as so many new authors that are connected to nobody. Resolves with their ids. */
  publishAs(job: { topic: string; template: string; count: number; ratePerSecond: number }): Promise<string[]> {
    return this.program.send('publishAs', job);
  }

  async received(topic?: string): Promise<ScoredReceived[]> {
    const all = await this.program.send<(Omit<ScoredReceived, 'data' | 'text'> & { data: string })[]>('received', {
      topic,
    });
    return all.map((each) => {
      const data = Buffer.from(each.data, 'base64');
      return { ...each, data, text: innerText(data) };
    });
  }

  /** Looked at each second; also those of peers that disconnected, for 6 hours. */
  scores(): Promise<{ inspections: number; peers: Readonly<Record<string, PeerScore>> }> {
    return this.program.send('scores');
  }

  /** Starts `inspections` and `lowest` anew. */
  forgetScores(): Promise<unknown> {
    return this.program.send('forgetScores');
  }

  /** Traffic with one neighbor, and what became of all messages (deliver, duplicate, reject …, dropRPC, undeliverable). */
  rpcs(peerId: string): Promise<{
    received: GossipTraffic;
    sent: GossipTraffic;
    protocol: string;
    counts: Readonly<Record<string, number>>;
  }> {
    return this.program.send('rpcs', { peerId });
  }

  /**
   * One RPC of control messages, whatever the library thinks of them. Topics in `prune` get a back-off of 60 s on both
   * sides, and the neighbor leaves their mesh.
   */
  control(message: {
    peerId: string;
    graft?: readonly string[];
    prune?: readonly string[];
    ihave?: { topic: string; ids: readonly Uint8Array[] };
    iwant?: readonly Uint8Array[];
  }): Promise<unknown> {
    const { ihave, iwant, ...rest } = message;
    const base64 = (ids: readonly Uint8Array[]) => ids.map((id) => Buffer.from(id).toString('base64'));
    return this.program.send('control', {
      ...rest,
      ...(ihave === undefined ? {} : { ihave: { topic: ihave.topic, ids: base64(ihave.ids) } }),
      ...(iwant === undefined ? {} : { iwant: base64(iwant) }),
    });
  }

  /** Sends signed messages of others (protobuf in hex) to one neighbor, as if they had just arrived here. */
  forward(message: { peerId: string; messages: readonly string[] }): Promise<unknown> {
    return this.program.send('forward', message);
  }

  /**
   * Asks one peer for addresses. Default protocol 1.0.0. `text` is the wanted peer's id or anything; `silent` writes
   * nothing; `readOnce` reads as the bus does, once. Rejects when no stream can be opened.
   */
  requestAddresses(request: {
    peerId: string;
    text: string;
    protocols?: readonly string[];
    silent?: boolean;
    halfClose?: boolean;
    readOnce?: boolean;
  }): Promise<AddressAnswer> {
    return this.program.send('requestAddresses', { protocols: [ADDRESS_1_0], ...request });
  }

  /**
   * Serves address requests from now on: `addresses` by wanted peer and none for others, `raw` for whatever is asked, or no
   * answer at all. It answers after one read, or with `readToEnd` after the requester's half close.
   */
  answerAddressRequests(answer: {
    protocols: readonly string[];
    addresses?: Readonly<Record<string, readonly string[]>>;
    raw?: string;
    silent?: boolean;
    readToEnd?: boolean;
  }): Promise<unknown> {
    return this.program.send('answerAddressRequests', answer);
  }

  /** Those that others made. `ended`: by a half close, seen only with `readToEnd`. */
  addressRequests(): Promise<{ peerId: string; protocol: string; text: string; ended: boolean; error?: string }[]> {
    return this.program.send('addressRequests');
  }

  /**
   * So many hosts of their own connect to a peer, subscribe and stay; their ids. Ten share an address by default:
   * 127.0.1.1, 127.0.1.2, …
   */
  crowd(crowd: {
    address: string;
    count: number;
    topics: readonly string[];
    perAddress?: number;
    from?: string;
    network?: string;
  }): Promise<string[]> {
    return this.program.send('crowd', { network: 'mainnet', ...crowd });
  }

  /**
   * Each host of the crowd publishes so many messages in the background, enveloped from a template or `data` as it is, one
   * after the other; the rate is that of all together. See `publishStatus`.
   */
  crowdPublish(job: {
    topic: string;
    template?: string;
    data?: readonly (Uint8Array | string)[];
    perMember: number;
    ratePerSecond: number;
  }): Promise<unknown> {
    const data = job.data?.map((each) => Buffer.from(each).toString('base64'));
    return this.program.send('crowdPublish', { ...job, data });
  }
}

/** Inner message of an envelope; empty for data that is none. */
export function innerText(data: Buffer): string {
  try {
    const { data: inner } = JSON.parse(data.toString()) as { data?: unknown };
    return typeof inner === 'string' ? Buffer.from(inner, 'base64').toString() : '';
  } catch {
    return '';
  }
}
