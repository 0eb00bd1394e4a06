// A peer that announces invalid blocks to all nodes of a development network until they ban it: blocks without the work
// that their headers claim, blocks on parents that nobody has, and announcements that are not JSON. A libp2p node as the
// library's listeners have it, in this process.
import { randomBytes } from 'node:crypto';
import { setTimeout as pause } from 'node:timers/promises';
import { DropCounts } from '../../library/counts.ts';
import { SILENT_LOG } from '../../library/listener.ts';
import { listenerNetwork } from '../../library/listener-node.ts';
import { listenSettings } from '../../library/options.ts';
import { systemClock } from '../../ports/clock.ts';
import { type P2PNetwork, topicNamesOf } from '../../ports/network.ts';
import { encodeFor, type WireName } from '../../wire/format.ts';
import { hashFromBytes } from '../../wire/hash.ts';
import { checkProofOfWork, encodeHeader, hashHeader } from '../../wire/header.ts';
import { NETWORKS } from '../../wire/networks.ts';

export interface LiarOptions {
  readonly wire: WireName;
  readonly sharedKey: string;
  /** Multiaddrs with the peer IDs of all nodes. */
  readonly peers: readonly string[];
  /** Named in its announcements as the place of its blocks. */
  readonly dataHubUrl: string;
}

const INTERVAL_MS = 250;
/** Ten blocks without work are enough for a ban: this is a multiple. */
const MAX_ROUNDS = 200;
const CONNECT_MS = 15_000;
const CLIENT_NAME = 'liar';
const { powLimitBits } = NETWORKS.regtest;

export class Liar {
  readonly peerId: string;
  private readonly network: P2PNetwork;
  private readonly dataHubUrl: string;
  private readonly ended = new AbortController();

  private constructor(network: P2PNetwork, dataHubUrl: string) {
    this.network = network;
    this.dataHubUrl = dataHubUrl;
    this.peerId = network.node.hostId();
  }

  /** Connects to the nodes. Throws what libp2p throws. */
  static async start({ wire, sharedKey, peers, dataHubUrl }: LiarOptions): Promise<Liar> {
    const options = { wire, bootstrapPeers: peers, maxPeers: 64, ...(wire === 'go-p2p' ? { sharedKey } : {}) };
    const settings = { ...listenSettings('regtest', options), listen_mode: 'full', clientName: CLIENT_NAME } as const;
    const deps = { log: SILENT_LOG, metrics: new DropCounts(), clock: systemClock, random: Math.random };
    const network = await listenerNetwork(settings, deps, { listenIps: [] });
    const liar = new Liar(network, dataHubUrl);
    network.node.setPeerConnectedCallback(() => {});
    network.node.setPeerDisconnectedCallback(() => {});
    await network.node.start(liar.ended.signal, undefined, topicNamesOf(network.node, [network]));
    return liar;
  }

  /** Resolves once nobody listens any more, or after a minute. Then it is stopped. */
  async lie(): Promise<void> {
    const { node } = this.network;
    try {
      const untilMs = performance.now() + CONNECT_MS;
      while (node.currentlyConnectedPeers().length === 0 && performance.now() < untilMs) await this.pause();
      for (let round = 0; round < MAX_ROUNDS && node.currentlyConnectedPeers().length > 0; round += 1) {
        await this.announce(round);
        await this.pause();
      }
    } finally {
      await this.stop();
    }
  }

  async stop(): Promise<void> {
    this.ended.abort();
    await this.network.node.stop();
  }

  private async pause(): Promise<void> {
    await pause(INTERVAL_MS, undefined, { signal: this.ended.signal }).catch(() => {});
    this.ended.signal.throwIfAborted();
  }

  private async announce(round: number): Promise<void> {
    const { node, wire, topics } = this.network;
    const { block } = topics;
    if (block === undefined) return;
    const header = inventedHeader(round % 3 === 1 ? 'ok' : 'no work');
    const { dataHubUrl, peerId } = this;
    const message = { hash: hashHeader(header), height: 1_000 + round, dataHubUrl, peerId, header };
    const bytes =
      round % 3 === 2
        ? Buffer.from(`{"Hash": "${message.hash}", malformed`)
        : encodeFor(wire, { kind: 'block', message }, CLIENT_NAME);
    // A node that has just banned it may be the only neighbour.
    await node.publish(block, bytes).catch(() => {});
  }
}

/** On a parent that nobody has, with the work that regtest asks for or without it. */
function inventedHeader(work: 'ok' | 'no work'): Uint8Array {
  const previousHash = hashFromBytes(randomBytes(32));
  const merkleRoot = hashFromBytes(randomBytes(32));
  const time = Math.floor(Date.now() / 1000);
  for (let nonce = 0; ; nonce += 1) {
    const header = encodeHeader({ version: 0x20000000, previousHash, merkleRoot, time, bits: powLimitBits, nonce });
    if ((checkProofOfWork(header, powLimitBits) === 'ok') === (work === 'ok')) return header;
  }
}
