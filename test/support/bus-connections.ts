// Waits until peers of message-bus are connected, and tells why they are not: which pairs, what each side knows of the
// other, whether it is reached now, and how our node answered address requests.
import type { GoBus } from './go-bus.ts';
import { waitFor } from './wait.ts';

/** How often our node answered a request for addresses with this outcome. */
type Requests = (outcome: string) => number | Promise<number>;
type Pair = readonly [GoBus, GoBus];

const OUTCOMES = ['answered', 'unknown', 'refused', 'failed'];
const MAX_LOG = 2000;

/** Resolves when each peer is connected to each other one; `requests` counts at our node, from which they learn of each other. */
export async function waitForConnections(
  peers: readonly GoBus[],
  requests: Requests,
  timeoutMs: number,
): Promise<void> {
  const pairs = peers.flatMap((one, i) => peers.slice(i + 1).map((other): Pair => [one, other]));
  let missing: readonly Pair[] = pairs;
  const areConnected = async () => {
    const connected = await Promise.all(pairs.map(([one, other]) => one.isConnectedTo(other.peerId)));
    missing = pairs.filter((_pair, i) => connected[i] !== true);
    return missing.length === 0;
  };
  try {
    await waitFor(areConnected, { timeoutMs, what: 'connections between all peers' });
  } catch (error) {
    const sides = missing.flatMap(([one, other]): Pair[] => [
      [one, other],
      [other, one],
    ]);
    const title = `${missing.length} of ${pairs.length} pairs are not connected`;
    const known = await Promise.all([answersOf(requests), ...sides.map(([one, other]) => sideOf(one, other, peers))]);
    // Later, because it changes what is told above; where it succeeds, only the first dials failed.
    const dials = await Promise.all(missing.map(([one, other]) => dialNow(one, other)));
    const logs = [...new Set(missing.flat())].map((peer) => `log of ${peer.peerId}:\n${discoveryLines(peer)}`);
    throw new Error([title, ...known, ...dials, ...logs].join('\n'), { cause: error });
  }
}

async function sideOf(one: GoBus, other: GoBus, peers: readonly GoBus[]): Promise<string> {
  const numberOf = (id: string) => peers.findIndex(({ peerId }) => peerId === id);
  const heard = await one.peers().catch(() => []);
  const connections = await one.connections().catch(() => []);
  const known = await one.known(other.peerId).catch(String);
  return [
    `peer ${numberOf(one.peerId)} (${one.peerId}) of peer ${numberOf(other.peerId)} (${other.peerId}):`,
    `  heard: ${heard.some(({ peerId }) => peerId === other.peerId)}; knows: ${known.toString() || 'no address'}`,
    `  the other announces ${other.addresses.toString()}, listens on ${other.listenAddresses.toString()}`,
    `  is connected to ${connections.map(({ peerId, address }) => `${numberOf(peerId)} at ${address}`).join(', ')}`,
  ].join('\n');
}

/** Without what each peer writes at its start, and when gossip tells it of a neighbour, once a topic. */
function discoveryLines(peer: GoBus): string {
  const lines = peer.log.split('\n').filter((line) => / address request | shared | direct|WARN|ERROR/.test(line));
  return lines.join('\n').slice(-MAX_LOG);
}

async function dialNow(one: GoBus, other: GoBus): Promise<string> {
  const outcome = await one.connect(other.address).then(() => 'succeeds', String);
  return `a dial now from ${one.peerId} to ${other.peerId}: ${outcome}`;
}

async function answersOf(requests: Requests): Promise<string> {
  const counts = OUTCOMES.map(async (outcome) => `${outcome} ${await requests(outcome)}`);
  const answers = await Promise.all(counts).catch(String);
  return `requests for addresses at our node (number -1 below): ${answers.toString()}`;
}
