// What comes from connected peers: topics in common, the mesh, the last message of each topic.
import { type Finding, fine, unknown, wrong } from './finding.ts';
import type { NetworkView } from './view.ts';

/** A little more than the interval of node statuses. */
export const EXPECTED_WITHIN_MS = 12_000;

export function judgeFeed(view: NetworkView, prefix: Finding, nowMs: number): Finding[] {
  const sharing = view.peers.filter(({ topics }) => topics.length > 0).length;
  if (view.peers.length === 0) {
    const why = 'no peer is connected; see the checks above';
    return [unknown('topics', why), unknown('mesh', why), lastWithoutPeers(view, why, nowMs)];
  }
  if (sharing === 0) {
    const why = 'no topics in common; see prefix_and_wire';
    const topics =
      prefix.ok === false
        ? unknown('topics', why)
        : wrong(
            'topics',
            `${view.peers.length} peers are connected and subscribe to none of our topics`,
            'they may be bootstrap nodes that only introduce peers, or of another network: wait for discovery, or list full nodes in p2p_static_peers',
          );
    const reason = prefix.ok === false ? why : 'no topics in common; see topics';
    return [topics, unknown('mesh', reason), unknown('last_messages', reason)];
  }
  return [topics(view, sharing), mesh(view), lastMessages(view, nowMs)];
}

function topics(view: NetworkView, sharing: number): Finding {
  const counts = view.topics.map(({ name, subscribers }) => `${name} ${subscribers}`).join(', ');
  return fine('topics', `peers that share topics: ${sharing} of ${view.peers.length}; subscribers: ${counts}`);
}

function mesh(view: NetworkView): Finding {
  const counts = view.topics.map((topic) => `${topic.name} ${topic.mesh}`).join(', ');
  if (view.topics.some((topic) => topic.mesh > 0)) return fine('mesh', counts);
  return wrong(
    'mesh',
    `no peer exchanges full messages with this node, although some share topics: ${counts}`,
    'wait a minute, as refused GRAFTs have a back-off; if it stays, peers refuse them: they may list this node as a direct peer, or be full. Restart the node or list more peers',
  );
}

function lastMessages(view: NetworkView, nowMs: number): Finding {
  const name = 'last_messages';
  const found = agesText(view, nowMs);
  if (view.silentForMs <= EXPECTED_WITHIN_MS) return fine(name, found);
  const seconds = Math.round(view.silentForMs / 1000);
  return wrong(
    name,
    `no valid message for ${seconds} s, although every full node sends its status every 10 s; ${found}`,
    'the peers are connected and silent: they may not be full nodes, or wait for their own chain, or have lost the network themselves; list other full nodes in the settings, and see rejected messages with /api/v1/verdicts',
  );
}

function lastWithoutPeers(view: NetworkView, why: string, nowMs: number): Finding {
  const heard = view.topics.some(({ lastMessageMs }) => lastMessageMs !== undefined);
  return unknown('last_messages', heard ? `${why}; ${agesText(view, nowMs)}` : why);
}

function agesText({ topics: all }: NetworkView, nowMs: number): string {
  const age = (ms: number | undefined) =>
    ms === undefined ? 'none' : `${Math.max(0, Math.round((nowMs - ms) / 1000))} s ago`;
  return all.map(({ name, lastMessageMs }) => `${name} ${age(lastMessageMs)}`).join(', ');
}
