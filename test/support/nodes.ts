// P2P nodes within the test process, on loopback, in a private network.
import { generateKeyPair } from '@libp2p/crypto/keys';
import { allowedAddresses } from '../../src/adapters/libp2p/connections/named-dials.ts';
import { OperatorAddresses } from '../../src/adapters/libp2p/connections/operator-addresses.ts';
import { Libp2pNode } from '../../src/adapters/libp2p/libp2p-node.ts';
import { type BuildDependencies, buildLibp2p, type TeranodeLibp2p } from '../../src/adapters/libp2p/libp2p-options.ts';
import { type Libp2pNodeOptions, MESSAGE_BUS_OPTIONS } from '../../src/adapters/libp2p/node-options.ts';
import { PatchReport } from '../../src/adapters/libp2p/patches/report.ts';
import { systemClock } from '../../src/ports/clock.ts';
import type { DirectStreamHandler } from '../../src/ports/p2p-node.ts';
import { RecordedMetrics, recordingLogger } from '../fakes/recorders.ts';
import { PSK } from './network.ts';

export const TOPICS = ['prefix-block', 'prefix-handshake'];

export async function nodeOptions(changes: Partial<Libp2pNodeOptions> = {}): Promise<Libp2pNodeOptions> {
  return {
    processName: 'test',
    userAgent: 'teranode/bitcoin/v0.0.0-test',
    privateKey: await generateKeyPair('Ed25519'),
    listenIps: ['127.0.0.1'],
    port: 0,
    advertiseAddresses: [],
    sharePrivateAddresses: true,
    presharedKey: PSK,
    dht: { mode: 'private', protocol: '/teranode/kad/1.0.0' },
    staticPeers: [],
    bootstrapAddresses: [],
    bootstrapPersistent: true,
    optimiseRetries: true,
    connections: { trims: true, lowWater: 200, highWater: 400, graceMs: 60_000, maxPerPeer: 3 },
    nat: {
      portMap: false,
      autonat: false,
      holePunching: false,
      relayClient: false,
      relayService: false,
      forceReachability: undefined,
    },
    peerCache: undefined,
    mayPublish: () => true,
    ...changes,
  };
}

/** Changes for a node of a message-bus network, without a DHT. */
export const BUS = {
  ...MESSAGE_BUS_OPTIONS,
  presharedKey: undefined,
  protocolVersion: '/teranode/bitcoin/mainnet/1.0.0',
  dht: { mode: 'public', protocol: '/ipfs/kad/1.0.0', role: 'off' },
  nat: {
    portMap: false,
    autonat: false,
    holePunching: false,
    relayClient: true,
    relayService: false,
    forceReachability: undefined,
  },
} as const satisfies Partial<Libp2pNodeOptions>;

export async function makeNode(changes: Partial<Libp2pNodeOptions> = {}) {
  const metrics = new RecordedMetrics();
  const log = recordingLogger();
  const node = new Libp2pNode({ log, metrics, clock: systemClock, random: Math.random }, await nodeOptions(changes));
  return { node, metrics, log };
}

/** A libp2p node alone, not started: a peer that runs no validators and no patches but those of its construction. */
export async function bareLibp2p(
  topics: readonly string[] = [],
  changes: Partial<Libp2pNodeOptions> = {},
  parts: Partial<BuildDependencies> = {},
): Promise<TeranodeLibp2p> {
  return await buildLibp2p(await nodeOptions(changes), topics, {
    gater: {},
    log: recordingLogger(),
    metrics: new RecordedMetrics(),
    report: new PatchReport(recordingLogger()),
    resolveName: allowedAddresses(() => false),
    dialBudget: { isExempt: () => true, limited: (dial) => dial },
    operators: new OperatorAddresses(),
    ...parts,
  });
}

/** Runs `work` with started nodes and stops them all afterwards. */
export class Nodes {
  private readonly all: Libp2pNode[] = [];

  async start(changes: Partial<Libp2pNodeOptions> = {}, streamHandler?: DirectStreamHandler) {
    const made = await makeNode(changes);
    this.all.push(made.node);
    await made.node.start(new AbortController().signal, streamHandler, TOPICS);
    return made;
  }

  async stop(): Promise<void> {
    await Promise.all(this.all.splice(0).map((node) => node.stop()));
  }
}

export function addressOf(node: Libp2pNode): string {
  return node.listenAddresses()[0] ?? '';
}
