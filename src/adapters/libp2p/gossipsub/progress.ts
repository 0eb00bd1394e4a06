// Counts the messages of gossip that come in and those that have been judged: signature, our validator, or known already. Verification is the one
// step of the way that may wait, so what never comes out of it is seen here, and nowhere else.
import type { GossipSub } from '@libp2p/gossipsub';
import type { Metrics } from '../../../ports/metrics.ts';
import type { Progress } from '../../../ports/progress.ts';

/** The part of the class that is wrapped; private in its type. */
interface GossipInternals {
  validateReceivedMessage(relay: unknown, message: unknown): Promise<unknown>;
}

/** Call before gossip starts. Throws TypeError when the library no longer has this part. */
export function gossipProgress(pubsub: GossipSub, metrics: Metrics): Progress {
  const internals = pubsub as unknown as GossipInternals;
  const { validateReceivedMessage } = internals;
  if (typeof validateReceivedMessage !== 'function') throw new TypeError('gossipsub has no step that judges messages');
  const progress = { begun: 0, ended: 0 };
  const end = () => {
    progress.ended += 1;
  };
  internals.validateReceivedMessage = (relay, message) => {
    progress.begun += 1;
    const judged = validateReceivedMessage.call(pubsub, relay, message);
    judged.then(end, end);
    return judged;
  };
  metrics.gauge(
    'teranode_p2p_gossip_under_way',
    'Messages of gossip that came in and are not judged yet',
    () => progress.begun - progress.ended,
  );
  return progress;
}
