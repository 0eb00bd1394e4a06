// A node of doctor's own, for the length of the check, where none runs: it joins the topics and dials the peers of the
// settings as the server would. It listens nowhere, announces no address, stores nothing, publishes nothing and forwards
// nothing.

import { trialKey } from '../../adapters/libp2p/identity.ts';
import { Libp2pNode } from '../../adapters/libp2p/libp2p-node.ts';
import type { Libp2pNodeOptions } from '../../adapters/libp2p/node-options.ts';
import type { NodeStatusMessage } from '../../domain/node-status.ts';
import { buildVersion } from '../../lib/version.ts';
import { systemClock } from '../../ports/clock.ts';
import { NO_DELIVERIES } from '../../ports/deliveries.ts';
import type { Diagnosis } from '../../ports/diagnosis.ts';
import { nodesOf, type P2PNetwork, topicNamesOf } from '../../ports/network.ts';
import type { GossipMessage } from '../../ports/p2p-node.ts';
import type { Settings } from '../../settings/load.ts';
import { PeerClocks } from '../../watch/peer-clocks.ts';
import type { TopicKind } from '../../wire/format.ts';
import { createNetworks } from '../create-networks.ts';
import { Nodes } from '../nodes.ts';
import { QUIET_LOG, QUIET_METRICS } from './quiet.ts';

export interface TrialNode {
  readonly peerId: string;
  /** False: an identity for this check only. */
  readonly isOwnIdentity: boolean;
  /** `silentForMs`: since the last message, or since the start. */
  look(): Diagnosis;
  stop(): Promise<void>;
}

const DEPS = {
  log: QUIET_LOG,
  metrics: QUIET_METRICS,
  clock: systemClock,
  random: Math.random,
  policy: {
    refusesAddress: () => false,
    refusesPeer: () => false,
    connectionOpened: () => {},
    malformedRpc: () => {},
  },
  deliveries: NO_DELIVERIES,
};
export const NO_NAT: Libp2pNodeOptions['nat'] = {
  ...{ portMap: false, autonat: false, holePunching: false, relayService: false, relayClient: true },
  forceReachability: undefined,
};

/** The options of the server's node without everything that others would notice or that is stored. */
export function forTrial({ graftBackoffFile: _, ...options }: Libp2pNodeOptions): Libp2pNodeOptions {
  return {
    ...options,
    ...{ listenIps: [], port: 0, advertiseAddresses: [], sharePrivateAddresses: false },
    dht: { ...options.dht, role: 'off' },
    nat: NO_NAT,
    peerCache: undefined,
    optimiseRetries: false,
    mayPublish: () => false,
  };
}

export async function startTrialNode(settings: Settings, signal: AbortSignal): Promise<TrialNode> {
  const { key: privateKey, isOwn } = await trialKey(settings.p2p_private_key);
  const facts = { privateKey, version: buildVersion().version, dataFolder: '' };
  const networks = createNetworks(settings, DEPS, facts, {
    node: (deps, options) => new Libp2pNode(deps, forTrial(options)),
  });
  const nodes = new Nodes();
  for (const node of nodesOf(networks)) nodes.add(node);
  const heard = new Heard();
  for (const network of networks)
    for (const [kind, name] of Object.entries(network.topics) as [TopicKind, string][])
      network.node.setTopicHandler(name, (message) => {
        heard.message(network, kind, message);
        return 'ignore';
      });
  const topics = nodesOf(networks).flatMap((node) => topicNamesOf(node, networks));
  await nodes.start(
    signal,
    () => undefined,
    (node) => topicNamesOf(node, networks),
  );
  return {
    peerId: networks[0].node.hostId(),
    isOwnIdentity: isOwn,
    look: () => ({
      ...nodes.diagnosis(),
      topics: topics.map((name) => ({
        name,
        subscribers: nodes.getTopic(name)?.subscribers().length ?? 0,
        mesh: nodes.getTopic(name)?.mesh().length ?? 0,
        lastMessageMs: heard.lastMs.get(name),
      })),
      clockOffsetsMs: heard.clocks.offsetsMs(),
      feed: { state: 'flowing', silentForMs: systemClock.monotonic() - heard.sinceMs },
    }),
    stop: () => nodes.stop(),
  };
}

class Heard {
  readonly lastMs = new Map<string, number>();
  readonly clocks = new PeerClocks(systemClock);
  sinceMs = systemClock.monotonic();

  message({ wire }: P2PNetwork, kind: TopicKind, { topic, bytes, author }: GossipMessage): void {
    const decoded = wire.decode[kind](bytes);
    if (!decoded.ok) return;
    this.lastMs.set(topic, systemClock.now());
    this.sinceMs = systemClock.monotonic();
    if (kind === 'node_status') this.clocks.heard({ ...(decoded.message as NodeStatusMessage), peerId: author });
  }
}
