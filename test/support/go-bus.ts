// Drives Go peers of the message-bus wire (test/interop/go-bus). `GoBus` is a client of go-p2p-message-bus, as Teranode's
// nodes are since October 2025.
import { join } from 'node:path';
import { temporaryFolder } from './cleanup.ts';
import { GoProgram, goBinary } from './go-program.ts';

/** A well-formed address at which nobody listens. The bus refuses to be without a bootstrap peer. */
export const DEAD_BOOTSTRAP = '/ip4/127.0.0.1/tcp/1/p2p/12D3KooWBCKN3eYmMbJKvnkTuwxh9mWfQvcwpq8py2jk9MsFjT1a';

/** The four topics that every node of a network joins. */
export function busTopics(network = 'mainnet'): {
  block: string;
  subtree: string;
  rejectedTx: string;
  nodeStatus: string;
} {
  const prefix = `teranode/bitcoin/1.0.0/${network}-`;
  return {
    block: `${prefix}block`,
    subtree: `${prefix}subtree`,
    rejectedTx: `${prefix}rejected_tx`,
    nodeStatus: `${prefix}node_status`,
  };
}

/** Path of the built binary; builds it when its sources changed. Throws when Go is missing. */
export function goBusBinary(): string {
  return goBinary('go-bus', 'Go 1.25.7 or newer');
}

export interface GoBusOptions {
  /** Name in its envelopes; default `bus`. */
  readonly name?: string;
  /** Hex of 64 raw bytes or of the libp2p protobuf; default a new key. */
  readonly privateKey?: string;
  /** Default a free one. It always listens on all addresses. */
  readonly port?: number;
  /**
   * Whether it dials from the port on which it listens, as every node does; default true. Two such peers that dial each
   * other in the same instant make one connection of which both are the dialer (TCP's simultaneous open), and both dials fail.
   */
  readonly dialsFromItsPort?: boolean;
  /** Multiaddrs that others learn; default 127.0.0.1 and its port. Empty: all that are bound. */
  readonly announceAddrs?: readonly string[];
  /** Full multiaddrs, dialed at start, each 5 s for 2 minutes, then each 30 s; default one that is dead. */
  readonly bootstrapPeers?: readonly string[];
  readonly staticPeers?: readonly string[];
  /** Default off. */
  readonly dhtMode?: 'off' | 'client' | 'server';
  /** Name in the topics and in the protocol version; default mainnet. */
  readonly network?: string;
  readonly protocolVersion?: string;
  /** Default a file in a folder of its own. */
  readonly peerCacheFile?: string;
  /** Topics to subscribe to at start; default the network's four. */
  readonly topics?: readonly string[];
  /** Count what is received, keep nothing. */
  readonly discard?: boolean;
  /**
   * Messages that may wait in each queue of gossip, beyond which it drops them; default 4,096. 0 leaves the library its 32,
   * as every node has, which overflow on a busy machine.
   */
  readonly queues?: number;
}

export interface BusReceived {
  readonly topic: string;
  /** Inner message. */
  readonly data: Buffer;
  readonly text: string;
  readonly author: string;
  /** Name in the envelope. */
  readonly name: string;
  readonly atNs: number;
}

export interface BusConnection {
  readonly peerId: string;
  readonly address: string;
  readonly direction: 'inbound' | 'outbound';
  readonly security: string;
  readonly muxer: string;
}

/** What a connected peer said of itself. */
export interface BusIdentity {
  readonly protocolVersion: string;
  readonly agent: string;
  readonly protocols: readonly string[];
  /** Without peer id. */
  readonly listen: readonly string[];
  readonly security: string;
  readonly muxer: string;
  readonly outbound: boolean;
}

export interface BusMesh {
  readonly mesh: Readonly<Record<string, readonly string[]>>;
  readonly subscribers: Readonly<Record<string, readonly string[]>>;
}

export interface BusStats {
  readonly counts: Readonly<Record<string, number>>;
  readonly unique: Readonly<Record<string, number>>;
  /** Of messages with `/t={TIME_NS}`. */
  readonly p50Ms: number;
  readonly p99Ms: number;
  readonly p999Ms: number;
}

/** Inner messages: ready texts, or a template with a count. In both `{HASH}`, `{PEER_ID}`, `{NUMBER}` and
 * `{TIME_NS}` are filled in. */
export interface BusJob {
  readonly topic: string;
  readonly texts?: readonly string[];
  readonly template?: string;
  readonly count?: number;
  /** `{NUMBER}` of the first. */
  readonly first?: number;
  /** As the load generator of `GoScored.lightConnect`. */
  readonly light?: boolean;
  readonly ratePerSecond: number;
}

export interface GoInfo {
  readonly peerId: string;
  readonly addresses: readonly string[];
  readonly listenAddresses: readonly string[];
}

/** What both modes of the program can do. */
export class BusPeer {
  readonly peerId: string;
  /** Full multiaddrs that it announces. */
  readonly addresses: readonly string[];
  readonly listenAddresses: readonly string[];
  protected readonly program: GoProgram;

  protected constructor(program: GoProgram, info: GoInfo) {
    this.program = program;
    this.peerId = info.peerId;
    this.addresses = info.addresses;
    this.listenAddresses = info.listenAddresses;
  }

  /** First of the announced addresses. */
  get address(): string {
    return this.addresses[0] ?? '';
  }

  /** The end of its log. */
  get log(): string {
    return this.program.log;
  }

  connect(address: string): Promise<unknown> {
    return this.program.send('connect', { address });
  }

  connections(): Promise<BusConnection[]> {
    return this.program.send('connections');
  }

  async isConnectedTo(peerId: string): Promise<boolean> {
    return (await this.program.send('connectedness', { peerId })) === 'Connected';
  }

  /** Addresses that it has of another peer, connected or not. */
  known(peerId: string): Promise<string[]> {
    return this.program.send('known', { peerId });
  }

  /** Rejects while not connected. */
  identify(peerId: string): Promise<BusIdentity> {
    return this.program.send('identify', { peerId });
  }

  mesh(): Promise<BusMesh> {
    return this.program.send('mesh');
  }

  /** Puts an inner message in the envelope and publishes it. */
  publish(topic: string, inner: string | object): Promise<unknown> {
    return this.program.send('publish', { topic, text: typeof inner === 'string' ? inner : JSON.stringify(inner) });
  }

  /** In the background; see `publishStatus`. */
  publishMany(job: BusJob): Promise<unknown> {
    return this.program.send('publishMany', job);
  }

  /** `tookMs`: from the last start of a job to the last end of one. */
  publishStatus(): Promise<{ running: number; published: number; failed: number; tookMs: number }> {
    return this.program.send('publishStatus');
  }

  /** Messages received by topic; cheap. */
  counts(): Promise<Readonly<Record<string, number>>> {
    return this.program.send('receivedCounts');
  }

  stats(): Promise<BusStats> {
    return this.program.send('receivedStats');
  }

  /** Resets the latencies of `stats`. */
  forgetLatencies(): Promise<unknown> {
    return this.program.send('forgetLatencies');
  }

  clearReceived(): Promise<unknown> {
    return this.program.send('clearReceived');
  }

  rusage(): Promise<{ cpuMicros: number; maxRssBytes: number; rssBytes: number }> {
    return this.program.send('rusage');
  }

  /** From now on it neither reads nor answers, and its connections stay open. */
  freeze(): void {
    this.program.freeze();
  }

  thaw(): void {
    this.program.thaw();
  }

  stop(): Promise<void> {
    return this.program.stop();
  }
}

/** Starts the program in one of its modes. */
export async function startBusProgram(
  mode: 'bus' | 'scored',
  options: object,
  environment: Readonly<Record<string, string>> = {},
): Promise<{ program: GoProgram; info: GoInfo }> {
  const program = new GoProgram(goBusBinary(), [], environment);
  try {
    await program.send('init', { mode, ...options });
    return { program, info: await program.send<GoInfo>('info') };
  } catch (error) {
    await program.stop();
    throw error;
  }
}

/**
 * A node of today as far as its wire goes: what Teranode's own client library does by itself. It keeps 25 to 35 connections
 * and dials its bootstrap peers again, as every node does.
 */
export class GoBus extends BusPeer {
  static async start({ dialsFromItsPort = true, ...options }: GoBusOptions = {}): Promise<GoBus> {
    const settings = {
      name: 'bus',
      network: 'mainnet',
      dhtMode: 'off',
      queues: 4096,
      bootstrapPeers: [DEAD_BOOTSTRAP],
      peerCacheFile: join(temporaryFolder('go-bus'), 'p2p_peers.json'),
      ...options,
    };
    const environment: Record<string, string> = dialsFromItsPort ? {} : { LIBP2P_TCP_REUSEPORT: 'false' };
    const { program, info } = await startBusProgram('bus', settings, environment);
    const bus = new GoBus(program, info);
    await bus.subscribe(options.topics);
    return bus;
  }

  /** Resolves with the topics once they are joined; default the network's four. Each topic once. */
  subscribe(topics?: readonly string[]): Promise<string[]> {
    return this.program.send('subscribe', { topics });
  }

  /** Authors that it heard, with the addresses of their connections to it. Neighbors that said nothing are not among them. */
  peers(): Promise<{ peerId: string; name: string; addresses: string[] }[]> {
    return this.program.send('peers');
  }

  /** Authors it listens to no longer: five malformed messages each. */
  mutedAuthors(): Promise<string[]> {
    return this.program.send('mutedAuthors');
  }

  async received(topic?: string): Promise<BusReceived[]> {
    const all = await this.program.send<(Omit<BusReceived, 'data' | 'text'> & { data: string })[]>('received', {
      topic,
    });
    return all.map((each) => {
      const data = Buffer.from(each.data, 'base64');
      return { ...each, data, text: data.toString() };
    });
  }
}
