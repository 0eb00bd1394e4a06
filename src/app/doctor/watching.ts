// Looks at the network, through the running node or a node of doctor's own, until there is nothing more to wait for.
import type { PeerClient } from '../../client/index.ts';
import { systemClock } from '../../ports/clock.ts';
import type { Diagnosis, DialState } from '../../ports/diagnosis.ts';
import type { LoadedSettings } from '../../settings/load.ts';
import { EXPECTED_WITHIN_MS } from './judge-feed.ts';
import { startTrialNode } from './trial-node.ts';
import { listedPeers, type NetworkView } from './view.ts';

export interface Watched {
  readonly view: NetworkView;
  stop(): Promise<void>;
}

interface Observer {
  readonly by: NetworkView['by'];
  readonly peerId: string;
  look(): Promise<Diagnosis>;
  stop(): Promise<void>;
}

const POLL_MS = 400;
/** Time for a peer to say what it subscribes to, and for the mesh. */
const TALK_MS = 4000;

/** `names`: settles when the names of listed peers were looked up. The caller stops what is returned. */
export async function lookUntilSettled(
  { loaded, node }: { readonly loaded: LoadedSettings; readonly node: PeerClient | undefined },
  names: Promise<unknown>,
  listenMs: number,
  signal: AbortSignal,
): Promise<Watched> {
  const observer = node === undefined ? await ownNode(loaded, signal) : await runningNode(node);
  const startedMs = systemClock.monotonic();
  let areNamesKnown = false;
  void names.finally(() => {
    areNamesKnown = true;
  });
  const listed = listedPeers(loaded.settings).length;
  try {
    for (;;) {
      const seen = await observer.look();
      const passedMs = systemClock.monotonic() - startedMs;
      const isLate = passedMs >= listenMs || signal.aborted;
      if (isLate || isSettled(seen, { passedMs, listed, areNamesKnown })) {
        const { feed, dials, ...rest } = seen;
        const view = {
          ...rest,
          dials: eachAddressOnce(dials),
          by: observer.by,
          peerId: observer.peerId,
          silentForMs: feed.silentForMs,
          second: new Map(),
        };
        return { view, stop: () => observer.stop() };
      }
      await new Promise((resolve) => setTimeout(resolve, POLL_MS));
    }
  } catch (error) {
    await observer.stop();
    throw error;
  }
}

/** With both wires in force both nodes dial a static peer, and one in vain: it counts as it does where it is connected. */
function eachAddressOnce(dials: readonly DialState[]): readonly DialState[] {
  const connected = new Set(dials.filter(({ isConnected }) => isConnected).map(({ address }) => address));
  return dials.filter(({ address, isConnected }) => isConnected || !connected.has(address));
}

interface Progress {
  readonly passedMs: number;
  readonly listed: number;
  readonly areNamesKnown: boolean;
}

function isSettled({ peers, dials, topics, feed }: Diagnosis, { passedMs, listed, areNamesKnown }: Progress): boolean {
  const pending = dials.some(({ isConnected, failure }) => !isConnected && failure === undefined);
  if (peers.length === 0) {
    if (listed > 0 && dials.length === 0) return areNamesKnown && passedMs > TALK_MS / 2;
    return !pending;
  }
  if (pending && passedMs < TALK_MS) return false;
  const sharing = peers.some((peer) => peer.topics.length > 0);
  if (!sharing) return passedMs > TALK_MS;
  if (!topics.some(({ mesh }) => mesh > 0) && passedMs < TALK_MS) return false;
  const heard = topics.some(({ lastMessageMs }) => lastMessageMs !== undefined);
  return (heard && feed.silentForMs <= EXPECTED_WITHIN_MS) || feed.silentForMs > EXPECTED_WITHIN_MS;
}

async function runningNode(client: PeerClient): Promise<Observer> {
  const { peerId } = await client.status(true);
  return {
    ...{ by: 'node', peerId },
    look: () => client.diagnose(),
    stop: async () => {},
  };
}

async function ownNode({ settings }: LoadedSettings, signal: AbortSignal): Promise<Observer> {
  const trial = await startTrialNode(settings, signal);
  return {
    ...{ by: 'doctor', peerId: trial.peerId },
    look: async () => trial.look(),
    stop: () => trial.stop(),
  };
}
