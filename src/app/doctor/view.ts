// The network as a node sees it, the running one or doctor's own: what the judgements about it are made from.
import type { Diagnosis } from '../../ports/diagnosis.ts';
import type { Settings } from '../../settings/load.ts';
import { busTopicNames, fullTopicNames, topicPrefixes } from '../../settings/topic-names.ts';
import { bootstrapPeers, speaks, wireNames } from '../../settings/wire.ts';
import type { WireName } from '../../wire/format.ts';
import type { SecondLook } from './second-look.ts';

export interface NetworkView extends Omit<Diagnosis, 'feed'> {
  /** Who looked: the running node, or doctor's own node for the length of the check. */
  readonly by: 'node' | 'doctor';
  /** How long was listened for messages, or since when none came, in ms. */
  readonly silentForMs: number;
  /** Peer ID of the node. */
  readonly peerId: string;
  /** Dials that failed, looked at again in other ways; by address. */
  readonly second: ReadonlyMap<string, SecondLook>;
}

/** Multiaddrs that the settings list for all wires. */
export function listedPeers(settings: Settings): readonly string[] {
  const go = speaks(settings, 'go-p2p') ? goBootstrap(settings) : [];
  const bus = speaks(settings, 'message-bus') ? bootstrapPeers(settings) : [];
  return [...new Set([...settings.p2p_static_peers, ...go, ...bus])];
}

function goBootstrap(settings: Settings): readonly string[] {
  if (settings.p2p_dht_use_private) return settings.p2p_bootstrap_addresses;
  const own = settings.p2p_bootstrap_persistent ? settings.p2p_bootstrap_addresses : [];
  return [...settings.p2p_dht_public_bootstrap, ...own];
}

/** Full topic names of this node, by wire. */
export function ownTopics(
  settings: Settings,
): readonly { readonly wire: WireName; readonly names: readonly string[] }[] {
  return wireNames(settings).map((wire) => ({
    wire,
    names: topicPrefixes(settings, wire).flatMap((prefix) =>
      Object.values(wire === 'go-p2p' ? fullTopicNames(settings, prefix) : busTopicNames(settings, prefix)),
    ),
  }));
}

/** The wire to which a topic of others belongs by its name; undefined for one of neither. */
export function wireOfTopic(topic: string): WireName | undefined {
  if (/^teranode\/bitcoin\/\d/.test(topic)) return 'message-bus';
  return /^bitcoin\//.test(topic) ? 'go-p2p' : undefined;
}
