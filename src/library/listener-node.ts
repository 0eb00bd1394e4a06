// The libp2p node of a listener and its network: that of the server, without a data folder, without NAT traversal, and by
// default without a listening socket. Loaded when a listener starts: libp2p takes most of its memory and time.
import { trialKey } from '../adapters/libp2p/identity.ts';
import { Libp2pNode } from '../adapters/libp2p/libp2p-node.ts';
import type { Libp2pNodeOptions } from '../adapters/libp2p/node-options.ts';
import { createNetworks, type NodeDependencies } from '../app/create-networks.ts';
import { buildVersion } from '../lib/version.ts';
import type { P2PNetwork } from '../ports/network.ts';
import type { Settings } from '../settings/load.ts';

const NO_NAT = {
  portMap: false,
  autonat: false,
  holePunching: false,
  relayClient: false,
  relayService: false,
  forceReachability: undefined,
} as const satisfies Libp2pNodeOptions['nat'];

export interface ListenerNodeOptions {
  /** Empty: accepts no connections. */
  readonly listenIps: readonly string[];
}

/** The network without its handshake topic: a listener introduces itself to nobody. Throws PRIVATE_KEY_INVALID. */
export async function listenerNetwork(
  settings: Settings,
  deps: Omit<NodeDependencies, 'policy' | 'deliveries'>,
  { listenIps }: ListenerNodeOptions,
): Promise<P2PNetwork> {
  const { key } = await trialKey(settings.p2p_private_key);
  const facts = { privateKey: key, version: buildVersion().version, dataFolder: '' };
  const node = (_deps: NodeDependencies, options: Libp2pNodeOptions) => {
    const { graftBackoffFile: _none, dht, ...rest } = options;
    const role = options.presharedKey === undefined ? 'off' : 'client';
    return new Libp2pNode(deps, { ...rest, dht: { ...dht, role }, listenIps, nat: NO_NAT, prefersNoise: true });
  };
  const [network] = createNetworks(settings, deps as NodeDependencies, facts, { node });
  const { handshake: _handshake, ...topics } = network.topics;
  return { ...network, topics };
}
