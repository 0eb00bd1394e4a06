// A second look at peers that were dialled in vain: whether another peer ID answers there, and whether they answer a
// node with the other kind of network (with or without a shared key), which tells a wrong key from a wrong wire.

import { trialKey } from '../../adapters/libp2p/identity.ts';
import { Libp2pNode } from '../../adapters/libp2p/libp2p-node.ts';
import { type Libp2pNodeOptions, MESSAGE_BUS_OPTIONS } from '../../adapters/libp2p/node-options.ts';
import { buildVersion } from '../../lib/version.ts';
import { systemClock } from '../../ports/clock.ts';
import type { DialState, PeerTopics } from '../../ports/diagnosis.ts';
import type { Settings } from '../../settings/load.ts';
import { speaks } from '../../settings/wire.ts';
import { QUIET_LOG, QUIET_METRICS } from './quiet.ts';
import { NO_NAT } from './trial-node.ts';

export interface SecondLook {
  /** The peer ID that answers there, where the expected one does not. */
  readonly otherPeerId?: string;
  /** What the peer says where it answers a node of the other kind; `psk`: whether that node had the shared key. */
  readonly otherKind?: { readonly psk: boolean; readonly peer: PeerTopics | undefined };
}

const MAX_LOOKED_AT = 4;
const DIAL_MS = 4000;
/** Time for a peer to identify itself and to say what it subscribes to. */
const TALK_MS = 3000;
const POLL_MS = 100;

/** By address; only failed dials for which there is more to find out, the first ones. Settles within eight seconds. */
export async function secondLooks(
  dials: readonly DialState[],
  settings: Settings,
  signal: AbortSignal,
): Promise<ReadonlyMap<string, SecondLook>> {
  const failed = dials.filter(({ isConnected, failure }) => !isConnected && failure !== undefined);
  const [others, kinds] = [failed.filter(isOfAnotherPeer), failed.filter(isOfAnotherKind)];
  const found = await Promise.all([
    ...others
      .slice(0, MAX_LOOKED_AT)
      .map(async ({ address }) => [address, await whoAnswers(address, settings, signal)]),
    ...kinds
      .slice(0, MAX_LOOKED_AT)
      .map(async ({ address }) => [address, await asOtherKind(address, settings, signal)]),
  ] as Promise<[string, SecondLook | undefined]>[]);
  return new Map(found.flatMap(([address, look]) => (look === undefined ? [] : [[address, look] as const])));
}

function isOfAnotherPeer({ failure = '' }: DialState): boolean {
  return failure.includes('peer ID');
}

function isOfAnotherKind({ failure = '' }: DialState): boolean {
  return failure.includes('shared key') || failure.includes('p2p_shared_key');
}

async function whoAnswers(address: string, settings: Settings, signal: AbortSignal): Promise<SecondLook | undefined> {
  for (const key of ownKeys(settings)) {
    const found = await withNode(key, signal, async (node) => {
      const otherPeerId = await node.connectPeer(address.replace(/\/p2p\/[^/]+$/, ''), DIAL_MS);
      return { otherPeerId };
    });
    if (found !== undefined) return found;
  }
  return undefined;
}

/** The shared keys of this node's networks; undefined: a network without one. */
function ownKeys(settings: Settings): readonly (string | undefined)[] {
  const isPrivate = speaks(settings, 'go-p2p') && settings.p2p_dht_use_private;
  const isPublic = speaks(settings, 'message-bus') || !isPrivate;
  return [...(isPrivate ? [settings.p2p_shared_key] : []), ...(isPublic ? [undefined] : [])];
}

/** With no shared key where ours was refused; with that of the settings where we had none. */
async function asOtherKind(address: string, settings: Settings, signal: AbortSignal): Promise<SecondLook | undefined> {
  const tried = ownKeys(settings);
  const key = tried[0] === undefined ? settings.p2p_shared_key : undefined;
  if (tried.includes(key)) return undefined;
  return await withNode(key, signal, async (node) => {
    const peerId = await node.connectPeer(address, DIAL_MS);
    const endMs = systemClock.monotonic() + TALK_MS;
    const said = () => node.diagnosis().peers.find((peer) => peer.peerId === peerId);
    while (systemClock.monotonic() < endMs && !signal.aborted && (said()?.otherTopics.length ?? 0) === 0)
      await new Promise((resolve) => setTimeout(resolve, POLL_MS));
    return { otherKind: { psk: key !== undefined, peer: said() } };
  });
}

const BARE = {
  ...MESSAGE_BUS_OPTIONS,
  ...{ processName: 'doctor', listenIps: [], port: 0, advertiseAddresses: [], sharePrivateAddresses: false },
  ...{ staticPeers: [], bootstrapAddresses: [], bootstrapPersistent: false, optimiseRetries: false },
  dht: { mode: 'public', protocol: '/ipfs/kad/1.0.0', role: 'off' },
  addressRequests: false,
  connections: { trims: false, lowWater: 10, highWater: 20, graceMs: 60_000, maxPerPeer: 3 },
  nat: NO_NAT,
  peerCache: undefined,
  mayPublish: () => false,
} satisfies Partial<Libp2pNodeOptions>;

/** Of a node without listed peers and topics, which dials what it is told. */
export function bareOptions(
  privateKey: Libp2pNodeOptions['privateKey'],
  presharedKey: string | undefined,
): Libp2pNodeOptions {
  return { ...BARE, privateKey, presharedKey, userAgent: `teranode/bitcoin/${buildVersion().version}` };
}

/** undefined when the peer does not answer this way either. */
async function withNode(
  presharedKey: string | undefined,
  signal: AbortSignal,
  look: (node: Libp2pNode) => Promise<SecondLook>,
): Promise<SecondLook | undefined> {
  const { key: privateKey } = await trialKey(undefined);
  const node = new Libp2pNode(
    { log: QUIET_LOG, metrics: QUIET_METRICS, clock: systemClock, random: Math.random },
    bareOptions(privateKey, presharedKey),
  );
  try {
    await node.start(signal, undefined, []);
    return await look(node);
  } catch {
    return undefined;
  } finally {
    await node.stop();
  }
}
