// Go peers of both wires as the soak uses them: they publish what they are told, connect again when they lost the
// server, and remember when they had no connection.
import { generateKeyPairSync } from 'node:crypto';
import { busSubtree } from '../../test/support/bus-network.ts';
import { busTopics, GoBus } from '../../test/support/go-bus.ts';
import { GoPeer } from '../../test/support/go-peer.ts';
import { allTopics, DATA_HUB, PSK, topicsOf } from '../../test/support/network.ts';
import type { Wire } from '../receiver-port.ts';
import type { Interval, Kind } from './ledger.ts';

export const NETWORK = 'mainnet';

/** The server dials none of these peers past the relay. */
const UNREACHABLE = '/ip4/127.0.0.1/tcp/1';
const CLIENT_NAME = 'soak';
const LOOK_MS = 500;
/** After a connection is there, until gossip has put the server into the mesh. */
const MESH_MS = 5000;
/** Before a lost connection was noticed. */
const NOTICE_MS = 2000;
const NAMED = { 'go-p2p': topicsOf(NETWORK), 'message-bus': busTopics(NETWORK) } as const;

export interface Announcement {
  readonly kind: Kind;
  readonly hash: string;
  /** Of a block. */
  readonly header?: { readonly hex: string; readonly height: number };
}

interface Server {
  readonly peerId: string;
  /** Through the relay of the wire. */
  readonly address: string;
}

/** An Ed25519 key as Go reads it: seed and public half. */
export function newKey(): string {
  const { d = '', x = '' } = generateKeyPairSync('ed25519').privateKey.export({ format: 'jwk' });
  return Buffer.concat([Buffer.from(d, 'base64url'), Buffer.from(x, 'base64url')]).toString('hex');
}

export class SoakPeer {
  readonly wire: Wire;
  readonly outages: Interval[] = [];
  private readonly peer: GoPeer | GoBus;
  private readonly server: Server;
  private connectedMs: number | undefined;
  private lostMs = Date.now();
  private isStopped = false;
  private readonly upkeep: Promise<void>;

  private constructor(wire: Wire, peer: GoPeer | GoBus, server: Server) {
    this.wire = wire;
    this.peer = peer;
    this.server = server;
    this.upkeep = this.stayConnected();
  }

  static async start(wire: Wire, server: Server, privateKey = newKey()): Promise<SoakPeer> {
    const peer =
      wire === 'go-p2p'
        ? await GoPeer.start({ psk: PSK, topics: allTopics(NETWORK), privateKey, discard: true })
        : await GoBus.start({
            network: NETWORK,
            privateKey,
            discard: true,
            bootstrapPeers: [server.address],
            announceAddrs: [UNREACHABLE],
          });
    return new SoakPeer(wire, peer, server);
  }

  get peerId(): string {
    return this.peer.peerId;
  }

  /** Whether it is connected for long enough to be in the mesh. */
  get isSteady(): boolean {
    return this.connectedMs !== undefined && Date.now() - this.connectedMs > MESH_MS;
  }

  /** When nothing that it publishes needs to arrive, up to now. */
  outagesUntilNow(): Interval[] {
    return this.connectedMs === undefined ? [...this.outages, { fromMs: this.lostMs, toMs: Date.now() }] : this.outages;
  }

  async announce({ kind, hash, header }: Announcement): Promise<void> {
    const { peer } = this;
    const fields = { Hash: hash, DataHubURL: DATA_HUB, PeerID: peer.peerId };
    const block = header && { Height: header.height, Header: header.hex };
    if (peer instanceof GoPeer) {
      await peer.publish(NAMED['go-p2p'][kind], JSON.stringify({ ...fields, ...block }));
      return;
    }
    const more = block && { ...block, Coinbase: '' };
    await peer.publish(NAMED['message-bus'][kind], { ...fields, ClientName: CLIENT_NAME, ...more });
  }

  /** So many subtrees of random hashes, in the background. */
  async announceMany(count: number, ratePerSecond: number): Promise<void> {
    const topic = NAMED[this.wire].subtree;
    if (this.peer instanceof GoPeer) {
      await this.peer.publishMany({ topic, subtrees: count, ratePerSecond });
      return;
    }
    const template = JSON.stringify({ ...busSubtree('{PEER_ID}', CLIENT_NAME), Hash: '{HASH}' });
    await this.peer.publishMany({ topic, template, count, ratePerSecond });
  }

  freeze(): void {
    this.peer.freeze();
  }

  thaw(): void {
    this.peer.thaw();
  }

  async stop(): Promise<void> {
    this.isStopped = true;
    await this.peer.stop();
    await this.upkeep;
  }

  private async stayConnected(): Promise<void> {
    let seenMs = Date.now();
    while (!this.isStopped) {
      const isConnected = await this.peer.isConnectedTo(this.server.peerId).catch(() => false);
      const nowMs = Date.now();
      // An answer that took long: the peer was frozen.
      if (this.connectedMs !== undefined && (!isConnected || nowMs - seenMs > NOTICE_MS)) {
        this.lostMs = seenMs - NOTICE_MS;
        this.connectedMs = undefined;
      }
      seenMs = nowMs;
      if (isConnected && this.connectedMs === undefined) {
        this.connectedMs = nowMs;
        this.outages.push({ fromMs: this.lostMs, toMs: nowMs + MESH_MS });
      }
      if (!isConnected && !this.isStopped) await this.peer.connect(this.server.address).catch(() => {});
      await new Promise((resolve) => setTimeout(resolve, LOOK_MS));
    }
  }
}
