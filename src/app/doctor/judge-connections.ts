// What the dials, the peers and the ends of connections say: reachable peers, shared key, prefix and wire, hang-ups. One
// fault is reported once: a check that cannot work because of another names that one and is not a failure itself.
import type { Departure, DialState, PeerTopics } from '../../ports/diagnosis.ts';
import type { Settings } from '../../settings/load.ts';
import { speaks } from '../../settings/wire.ts';
import { type Finding, fine, notAskedFor, unknown, wrong } from './finding.ts';
import { listedPeers, type NetworkView, ownTopics, wireOfTopic } from './view.ts';

/** A peer that leaves earlier has refused this node, as in the dialer. */
const SETTLED_MS = 10_000;
const RECENT_MS = 15 * 60_000;
const MAX_NAMED = 4;

export function judgeConnections(view: NetworkView, settings: Settings, nowMs: number): Finding[] {
  const key = sharedKey(view, settings);
  return [bootstrap(view, settings), key, prefixAndWire(view, settings, key), hangUps(view, nowMs)];
}

type Fault = 'key' | 'refused' | 'banned' | 'name' | 'network';

const NAME_FAILED = /the name is not known|\b(?:ENOTFOUND|ENODATA|EAI_AGAIN|ETIMEOUT|ESERVFAIL)\b/;

function faultOf({ second }: Pick<NetworkView, 'second'>, { address, failure = '', stage = '' }: DialState): Fault {
  if (address.startsWith('/dns') && NAME_FAILED.test(failure)) return 'name';
  if (failure.includes('this node refuses')) return 'banned';
  if (stage === 'connected') return 'refused';
  // Without another kind of network behind it, a peer that ends connections at once refuses this machine.
  if (stage === 'exchanging nonces') return second.get(address)?.otherKind === undefined ? 'refused' : 'key';
  if (failure.includes('p2p_shared_key') || failure.includes('shared key')) return 'key';
  return stage === 'securing' && !failure.includes('peer ID') ? 'refused' : 'network';
}

function bootstrap(view: NetworkView, settings: Settings): Finding {
  const name = 'bootstrap';
  if (listedPeers(settings).length === 0) return noneListed(view, settings);
  const { dials } = view;
  if (dials.length === 0) return unknown(name, 'no address to dial; see dns');
  const connected = dials.filter(({ isConnected }) => isConnected);
  const failed = dials.filter(({ isConnected, failure }) => !isConnected && failure !== undefined);
  const network = failed.filter((dial) => faultOf(view, dial) === 'network');
  const count = `${connected.length} of ${dials.length} connected`;
  const problems = named(network.map((dial) => `${dial.address}: ${failureText(view, dial)}`));
  if (connected.length > 0) return fine(name, problems === '' ? count : `${count}; ${problems}`);
  if (network.length > 0) return wrong(name, `${count}; ${problems}`, bootstrapAdvice(view, network));
  if (failed.length === 0) return wrong(name, `${count}; no dial has ended in time`, NETWORK_ADVICE);
  const others = new Set(failed.map((dial) => faultOf(view, dial)));
  if (others.has('name')) return unknown(name, `${count}; names do not resolve, see dns`);
  return unknown(name, `peers answer on TCP; see ${others.has('key') ? 'shared_key, prefix_and_wire' : 'hang_ups'}`);
}

/** A node of regtest may be the first of its network, and one that says `none` means it. */
function noneListed({ peers }: NetworkView, settings: Settings): Finding {
  const isMeant = settings.network === 'regtest' || settings.p2p_bootstrap_peers !== undefined;
  if (isMeant || peers.length > 0)
    return notAskedFor('bootstrap', 'the settings list no bootstrap or static peers; others must dial this node');
  return wrong(
    'bootstrap',
    'the settings list no bootstrap or static peers, and no peer has dialled this node',
    `list some peers of ${settings.network}: p2p_bootstrap_peers on message-bus, p2p_bootstrap_addresses on go-p2p, or p2p_static_peers`,
  );
}

const NETWORK_ADVICE =
  'check that the address is right and that the peer runs, and that no firewall between stops TCP to that port; replace dead peers in p2p_bootstrap_peers, p2p_bootstrap_addresses or p2p_static_peers';

function bootstrapAdvice({ second }: NetworkView, failed: readonly DialState[]): string {
  const other = failed.find(({ address }) => second.get(address)?.otherPeerId !== undefined);
  const isOther = failed.some(({ failure = '' }) => failure.includes('peer ID'));
  if (other === undefined && !isOther) return NETWORK_ADVICE;
  const found = other === undefined ? 'the one that its operator gives' : second.get(other.address)?.otherPeerId;
  return `if you trust the peer there, replace the peer ID after /p2p/ in the settings by ${found}; ask its operator, as it may be an impostor`;
}

function failureText({ second }: NetworkView, { address, failure = '', stage }: DialState): string {
  const otherId = second.get(address)?.otherPeerId;
  if (otherId !== undefined) return `another peer ID answers there: expected ${idOf(address)}, found ${otherId}`;
  const step = stage === undefined || stage === 'connecting' ? 'TCP' : stage;
  return `${failure} (${step})`;
}

function sharedKey(view: NetworkView, settings: Settings): Finding {
  const name = 'shared_key';
  const hasKey = speaks(settings, 'go-p2p') && settings.p2p_dht_use_private;
  const failed = view.dials.filter(
    (dial) => !dial.isConnected && dial.failure !== undefined && faultOf(view, dial) === 'key',
  );
  const unexplained = failed.filter(({ address }) => view.second.get(address)?.otherKind === undefined);
  const [first] = unexplained;
  const isKnown = view.dials.some(({ isConnected }) => isConnected);
  if (first !== undefined && !(isKnown && !hasKey)) {
    const found = named(unexplained.map(({ address, failure }) => `${address}: ${failure}`));
    const advice = hasKey
      ? 'set p2p_shared_key to the key of the network, 64 hex digits that its operators give to all nodes'
      : 'the peer belongs to a private go-p2p network: set p2p_wire = go-p2p, p2p_dht_use_private = true and its p2p_shared_key, or list peers of your own network; if it has no such key, it refuses this machine: ask its operator';
    return wrong(name, found, advice);
  }
  if (!hasKey) return notAskedFor(name, 'this node uses no shared key');
  if (failed.length > 0) return unknown(name, 'the peers use no shared key; see prefix_and_wire');
  if (view.peers.length === 0) return unknown(name, 'no peer has answered');
  return fine(name, `agrees with that of connected peers: ${view.peers.length}`);
}

function prefixAndWire(view: NetworkView, settings: Settings, { ok: keyOk }: Finding): Finding {
  const name = 'prefix_and_wire';
  const own = ownTopics(settings);
  const ours = own.map(({ wire, names }) => `${wire} with ${names[0]}`).join(' and ');
  const sharing = view.peers.filter(({ topics }) => topics.length > 0);
  if (sharing.length > 0) return fine(name, `peers that share topics: ${sharing.length}; this node speaks ${ours}`);
  const looked = [...view.second.values()].flatMap(({ otherKind }) => (otherKind === undefined ? [] : [otherKind]));
  const [kind] = looked;
  if (kind !== undefined) {
    const how = kind.psk ? 'only with the shared key' : 'only without a shared key';
    const said = kind.peer === undefined ? 'a peer' : peerText(kind.peer);
    const wire = kind.psk ? 'go-p2p' : wireOfPeer(kind.peer) === 'go-p2p' ? 'go-p2p' : 'message-bus';
    return wrong(name, `${said} answers ${how}; this node speaks ${ours}`, wireAdvice(wire, kind.peer, settings));
  }
  const others = view.peers.filter(({ otherTopics }) => otherTopics.length > 0);
  const [other] = others;
  if (other !== undefined) {
    const found = `${others.length} connected peers subscribe to other topics: ${named(others.map(peerText))}; this node speaks ${ours}`;
    return wrong(name, found, wireAdvice(wireOfPeer(other), other, settings));
  }
  if (view.peers.length > 0) return unknown(name, 'connected peers have not said what they subscribe to; see topics');
  return unknown(name, keyOk === false ? 'no peer is connected; see shared_key' : 'no peer is connected');
}

function wireOfPeer(peer: PeerTopics | undefined) {
  return peer?.otherTopics.map(wireOfTopic).find((wire) => wire !== undefined);
}

function wireAdvice(
  wire: 'go-p2p' | 'message-bus' | undefined,
  peer: PeerTopics | undefined,
  settings: Settings,
): string {
  if (wire !== undefined && !speaks(settings, wire)) {
    const private_ = wire === 'go-p2p' ? ', with the p2p_shared_key of its network' : '';
    return `the peer speaks ${wire}: set p2p_wire = ${wire} (or both)${private_}, or list peers of your own wire`;
  }
  const prefix = commonPrefix(peer?.otherTopics ?? []);
  const set = prefix === '' ? 'its prefix' : prefix;
  return `the peer belongs to another network: set network, or chainCfgParams_topicPrefix = ${set}, if that is yours; else list peers of your own network`;
}

/** What stands before the last `-` of the first topic. */
function commonPrefix([first = '']: readonly string[]): string {
  return first.slice(0, Math.max(0, first.lastIndexOf('-')));
}

function peerText({ peerId, protocolVersion, otherTopics, agentVersion }: PeerTopics): string {
  const says = [protocolVersion, agentVersion].filter((each) => each !== undefined && each !== '').join(', ');
  const topics = otherTopics.slice(0, 2).join(', ');
  return `${peerId}${says === '' ? '' : ` (${says})`}${topics === '' ? '' : ` with ${topics}`}`;
}

function hangUps(view: NetworkView, nowMs: number): Finding {
  const name = 'hang_ups';
  const now = new Set(view.peers.map(({ peerId }) => peerId));
  const banned = view.dials.filter((dial) => !dial.isConnected && faultOf(view, dial) === 'banned');
  if (banned.length > 0) {
    const found = named(banned.map(({ address, failure }) => `${address}: ${failure}`));
    return wrong(
      name,
      found,
      'see `teranode-p2p bans list`, lift the ban with `bans remove`, or set p2p_allow_private_ips',
    );
  }
  const recent = view.departures.filter(({ atMs }) => nowMs - atMs < RECENT_MS);
  const listed = new Set(view.dials.map(({ address }) => idOf(address)));
  // Others that dialled this node and left were guests, such as a program that listens for a moment.
  const refusing = recent.filter(
    (each) => isRefusal(each) && !now.has(each.peerId) && (each.direction === 'outbound' || listed.has(each.peerId)),
  );
  const dialled = view.dials.filter((dial) => !dial.isConnected && faultOf(view, dial) === 'refused');
  if (refusing.length === 0 && dialled.length === 0) return fine(name, endsText(recent));
  const byPeer = new Map(refusing.map((each) => [each.peerId, each]));
  const ended = [...byPeer.values()].map(
    ({ peerId, address, livedMs, reason }) => `${peerId} at ${address} hung up after ${livedMs} ms (${reason})`,
  );
  const refused = dialled
    .filter(({ address }) => !byPeer.has(idOf(address) as Departure['peerId']))
    .map(({ address, failure }) => `${address}: ${failure}`);
  return wrong(
    name,
    named([...ended, ...refused]),
    `the peer refuses this node: it may have banned it or its address, lists allowed peers, or is full; ask its operator to lift the ban of ${view.peerId}, and correct what led to it`,
  );
}

function isRefusal({ closedBy, livedMs }: Departure): boolean {
  return closedBy === 'peer' && livedMs < SETTLED_MS;
}

function endsText(recent: readonly Departure[]): string {
  if (recent.length === 0) return 'no connection has ended lately';
  const byPeer = recent.filter(({ closedBy }) => closedBy === 'peer').length;
  const [last] = recent;
  const who = last?.closedBy === 'peer' ? 'the peer' : 'this node';
  return `${recent.length} connections ended within 15 minutes, ${byPeer} by the peer; the last by ${who} after ${last?.livedMs} ms: ${last?.reason}`;
}

function idOf(address: string): string {
  return address.slice(address.lastIndexOf('/') + 1);
}

function named(texts: readonly string[]): string {
  const more = texts.length > MAX_NAMED ? `; and ${texts.length - MAX_NAMED} more` : '';
  return `${texts.slice(0, MAX_NAMED).join('; ')}${more}`;
}
