// meshsub 1.3, which go-libp2p-pubsub 0.15 and newer offers first. It adds one control message to 1.2, with which a peer
// names the extensions that it supports. This node supports none, so it need not send that message, and the decoder skips
// the field in what arrives. gossipsub 17.1.1 does not know the version: here it is offered, and treated as 1.2.
import type { GossipSub } from '@libp2p/gossipsub';
import type { Connection } from '@libp2p/interface';
import type { GossipsubParts, Stage } from './parts.ts';

export const MESHSUB_1_3 = '/meshsub/1.3.0';
const MESHSUB_1_2 = '/meshsub/1.2.0';

/** gossipsub that offers meshsub 1.3 before all others. */
export function offeringMeshsub13<Components>(
  create: (components: Components) => GossipSub,
): (components: Components) => GossipSub {
  return (components) => {
    const pubsub = create(components);
    pubsub.protocols.unshift(MESHSUB_1_3);
    return pubsub;
  };
}

/** gossipsub sends back-offs and IDONTWANT only on versions that it knows. */
export class Meshsub13 implements Stage<'opening'> {
  readonly feature = 'meshsub13';

  createOutboundStream(next: GossipsubParts['createOutboundStream']): GossipsubParts['createOutboundStream'] {
    return (peerId, connection) => next(peerId, as12(connection));
  }
}

/** The connection, whose streams of 1.3 are called 1.2 once they are negotiated. */
function as12(connection: Connection): Connection {
  const newStream: Connection['newStream'] = async (protocols, options) => {
    const stream = await connection.newStream(protocols, options);
    if (stream.protocol === MESHSUB_1_3) stream.protocol = MESHSUB_1_2;
    return stream;
  };
  return Object.create(connection, { newStream: { value: newStream } }) as Connection;
}
