// Builds and drives the Go test peer (test/interop/go-peer). The binary is cached by the hash of its sources.
import { GoProgram, goBinary } from './go-program.ts';

/**
 * On a busy machine 32 would be too few, and what the peer itself drops says nothing of who is between it and another.
 */
const QUEUES = { outboundQueue: 4096, validateQueue: 4096 };

export interface GoPeerOptions {
  readonly listen?: readonly string[];
  readonly psk?: string;
  readonly security?: 'tls' | 'noise' | 'both';
  readonly privateKey?: string;
  readonly agent?: string;
  readonly topics?: readonly string[];
  readonly dht?: 'off' | 'client' | 'server' | 'auto';
  readonly dhtPrefix?: string;
  readonly bootstrap?: readonly string[];
  readonly relayService?: boolean;
  /** AutoNAT version 2: dials back peers that ask for it. */
  readonly autonat?: boolean;
  /** DCUtR. */
  readonly holePunching?: boolean;
  readonly maxMessageSize?: number;
  /** Only these peers may connect. */
  readonly allow?: readonly string[];
  readonly streamProtocol?: string;
  /** RPCs that may wait for one neighbour, beyond which it drops them; 4,096 here, the library's default is 32. */
  readonly outboundQueue?: number;
  /** Messages that may wait for validation, beyond which it drops them; 4,096 here, the library's default is 32. */
  readonly validateQueue?: number;
  /**
   * In no mesh of peers that dial it: what it gets are answers to what it asked for, after it heard that it is there.
   */
  readonly noMesh?: boolean;
  /** Count what is received, keep nothing. */
  readonly discard?: boolean;
}

/** What a Go peer says of itself in a handshake. */
export interface GoHandshake {
  readonly protocol: string;
  /** Full name of the handshake topic, one of `topics`. */
  readonly topic: string;
  readonly says: {
    readonly bestHeight: number;
    readonly bestHash: string;
    readonly dataHubURL: string;
    readonly userAgent: string;
    readonly services?: number;
    readonly topicPrefix: string;
  };
}

export interface GoReceived {
  readonly topic: string;
  readonly data: Buffer;
  readonly author: string;
  readonly neighbour: string;
}

export interface GoConnection {
  readonly peerId: string;
  readonly address: string;
  readonly direction: 'inbound' | 'outbound';
  readonly security: string;
  readonly agent: string;
  readonly protocols: readonly string[];
  readonly limited: boolean;
}

export interface GoMesh {
  readonly mesh: Readonly<Record<string, readonly string[]>>;
  readonly subscribers: Readonly<Record<string, readonly string[]>>;
  readonly counts: Readonly<Record<string, number>>;
}

export interface GoStats {
  readonly counts: Readonly<Record<string, number>>;
  readonly unique: Readonly<Record<string, number>>;
  readonly p50Ms: number;
  readonly p99Ms: number;
  readonly p999Ms: number;
}

/** Path of the built binary; builds it when its sources changed. Throws when Go is missing. */
export function goPeerBinary(): string {
  return goBinary('go-peer', 'Go 1.24 or newer');
}

export class GoPeer {
  readonly peerId: string;
  /** Full multiaddrs. */
  readonly addresses: readonly string[];
  private readonly program: GoProgram;

  private constructor(program: GoProgram, info: { peerId: string; addresses: string[] }) {
    this.program = program;
    this.peerId = info.peerId;
    this.addresses = info.addresses;
  }

  /** `enter`: a command that runs it in a network namespace. */
  static async start(options: GoPeerOptions, enter: readonly string[] = []): Promise<GoPeer> {
    const program = new GoProgram(goPeerBinary(), enter);
    await program.send('init', { ...QUEUES, ...options });
    return new GoPeer(program, await program.send('info'));
  }

  connect(address: string): Promise<unknown> {
    return this.program.send('connect', { address });
  }

  disconnect(peerId: string): Promise<unknown> {
    return this.program.send('disconnect', { peerId });
  }

  /** Addresses that the peer announced when it was last identified (not pushed); undefined before. */
  announcedBy(peerId: string): Promise<string[] | undefined> {
    return this.program.send('announced', { peerId });
  }

  connections(): Promise<GoConnection[]> {
    return this.program.send('peers');
  }

  async isConnectedTo(peerId: string): Promise<boolean> {
    return (await this.connections()).some((connection) => connection.peerId === peerId);
  }

  mesh(): Promise<GoMesh> {
    return this.program.send('mesh');
  }

  publish(topic: string, data: Uint8Array | string): Promise<unknown> {
    return this.program.send('publish', { topic, data: Buffer.from(data).toString('base64') });
  }

  /** In the background; see `publishStatus`. */
  publishMany(job: {
    topic: string;
    file?: string;
    subtrees?: number;
    /** Number of the first of `subtrees`, in its URL (`/n=`). */
    first?: number;
    /** As the load generator of `lightConnect`. */
    light?: boolean;
    ratePerSecond: number;
  }): Promise<unknown> {
    return this.program.send('publishMany', job);
  }

  /**
   * Connects a host of its own that publishes to one neighbour at less than half of the cost:
   * test/interop/go-peer/light.go.
   * Resolves with its id.
   */
  lightConnect(address: string): Promise<string> {
    return this.program.send('lightConnect', { address });
  }

  /**
   * One message each as so many strangers, whose ids it resolves with; `PEER_ID` in the template becomes the author's.
   * See `publishStatus`.
   */
  publishAs(job: { topic: string; template: string; count: number; ratePerSecond: number }): Promise<string[]> {
    return this.program.send('publishAs', job);
  }

  /**
   * Subtree announcements as one stranger, handed to one neighbour in a form that no library writes and Go takes for
   * valid. Resolves with the stranger's id. `unknown_field`: signed over as well; `wide_tag`: one whose tag is longer
   * than need be; `high_s`: the larger of the two secp256k1 signatures; `many_in_one`: all of them, over 1 KiB each, in
   * one frame.
   */
  publishRaw(job: {
    address: string;
    topic: string;
    kind: 'unknown_field' | 'wide_tag' | 'high_s' | 'many_in_one';
    count: number;
  }): Promise<string> {
    return this.program.send('publishRaw', job);
  }

  /**
   * Ends the streams on which a neighbour gossips to us, as Go does when it cannot read a frame. Resolves with how
   * many.
   */
  resetGossip(peerId: string): Promise<number> {
    return this.program.send('resetGossip', { peerId });
  }

  /** So many hosts of their own connect, say that they speak gossip, and never answer on a stream of it. */
  silentGossip(job: { address: string; count: number }): Promise<number> {
    return this.program.send('silentGossip', job);
  }

  /** So many hosts of their own connect, ask to be in the mesh of a topic, and read nothing of what they are sent. */
  deafGossip(job: { address: string; topic: string; count: number }): Promise<number> {
    return this.program.send('deafGossip', job);
  }

  /**
   * Frames of gossip that a host of its own writes as fast as they are taken, on so many streams at once; resolves when
   * all are written or the time is over. `unfinished`: one byte of each is never sent. `control`:
   * GRAFTs, PRUNEs that name peers at `px`, and new ids in IHAVE and IDONTWANT.
   */
  flood(job: {
    address: string;
    topic: string;
    kind: 'control' | 'long_ids' | 'bad_ed25519' | 'bad_secp256k1' | 'unfinished';
    perFrame?: number;
    frames?: number;
    seconds?: number;
    streams?: number;
    px?: string;
  }): Promise<{ written: number; error?: string }> {
    return this.program.send('flood', job);
  }

  /**
   * So many hosts of their own connect and stay; they gossip nothing, or subscribe to `topics`. With `from`, 127.0.1
   * say, each has an address of its own there.
   */
  crowd(job: { address: string; count: number; from?: string; topics?: readonly string[] }): Promise<number> {
    return this.program.send('crowd', job);
  }

  /**
   * So many hosts of their own connect, subscribe to a topic and leave, each from an address of its own below `from`.
   * Resolves with how many did.
   */
  visits(job: { address: string; count: number; from: string; topic: string }): Promise<number> {
    return this.program.send('visits', job);
  }

  /** Registers as provider with a neighbour, so many times, each with so many addresses that are none. */
  manyAddresses(job: { peerId: string; protocol: string; addresses: number; times: number }): Promise<unknown> {
    return this.program.send('manyAddresses', job);
  }

  /** `tookMs`: from the last start of a job to the last end of one. */
  publishStatus(): Promise<{ running: number; published: number; failed: number; tookMs: number }> {
    return this.program.send('publishStatus');
  }

  async received(topic: string): Promise<GoReceived[]> {
    const all = await this.program.send<{ topic: string; data: string; author: string; neighbour: string }[]>(
      'received',
      {
        topic,
      },
    );
    return all.map((each) => ({ ...each, data: Buffer.from(each.data, 'base64') }));
  }

  /** Messages received by topic; cheap. */
  counts(): Promise<Readonly<Record<string, number>>> {
    return this.program.send('receivedCounts');
  }

  stats(): Promise<GoStats> {
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

  async streams(): Promise<{ peerId: string; data: Buffer; error?: string }[]> {
    const all = await this.program.send<{ peerId: string; data: string; error?: string }[]>('streams');
    return all.map((each) => ({ ...each, data: Buffer.from(each.data, 'base64') }));
  }

  streamSend(stream: {
    peerId: string;
    protocol: string;
    data: string;
    pauseMs?: number;
    keepOpen?: boolean;
    repeat?: number;
  }): Promise<{ written: number; writeError: string; readError: string; ms: number }> {
    return this.program.send('streamSend', { ...stream, data: Buffer.from(stream.data).toString('base64') });
  }

  /**
   * From now on it takes part in the handshake as the Teranode server does; who is connected already gets no version.
   */
  handshake(handshake: GoHandshake): Promise<unknown> {
    return this.program.send('handshake', handshake);
  }

  dhtProvide(key: string): Promise<unknown> {
    return this.program.send('dhtProvide', { key });
  }

  dhtFind(key: string): Promise<string[]> {
    return this.program.send('dhtFind', { key });
  }

  /** Advertises and looks for peers as the network's nodes do. */
  rendezvous(): Promise<unknown> {
    return this.program.send('rendezvous');
  }

  relayReserve(address: string): Promise<unknown> {
    return this.program.send('relayReserve', { address });
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
