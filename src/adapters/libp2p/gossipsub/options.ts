// Gossipsub as the Go network runs it. The defaults of js-libp2p hash message IDs differently and score peers, which Go
// does not; both lose messages in a mixed network.
import type { GossipsubOpts, Message } from '@libp2p/gossipsub';

/** go-libp2p-pubsub's largest message, and what one RPC may carry. */
export const MAX_GOSSIP_BYTES = 1024 * 1024;
/** What may wait for one slow peer before messages to it are dropped: some seconds at full rate. */
const MAX_OUTBOUND_BUFFER_BYTES = 16 * 1024 * 1024;
/** From this size on, mesh peers are told that they need not send us a message that we have; gossipsub's default. */
export const IDONTWANT_MIN_BYTES = 512;
/** How long go-libp2p-pubsub remembers a message ID. */
export const SEEN_KEEP_MS = 120_000;
/** Peers in the mesh of a topic, as in go-libp2p-pubsub. */
export const MESH_SIZE = 6;
/**
 * Mesh peers that are kept for their score when there are too many: half of those kept. The others are drawn at random,
 * and two at least are peers that we dialled, so that nobody takes over a mesh by delivering first.
 */
export const KEPT_BY_SCORE = 3;
/**
 * While less than half of the mesh reaches this score, a peer from outside that has more is added per minute. First
 * deliverers have 0.05 and more, all others 0.
 */
const LEAST_MEDIAN_SCORE = 0.05;
/** The other numbers of the mesh, and the heartbeat, of go-libp2p-pubsub. */
const GO_MESH = {
  D: MESH_SIZE,
  Dlo: 5,
  Dhi: 12,
  Dout: 2,
  Dlazy: 6,
  heartbeatInterval: 1000,
  seenTTL: SEEN_KEEP_MS,
} as const;

const seqnoBytes = new Uint8Array(8);
const seqnoView = new DataView(seqnoBytes.buffer);

/** Go's message ID: the author's multihash, then the sequence number as 8 bytes big-endian. */
export function goMessageId(author: Uint8Array, sequenceNumber: bigint): Uint8Array {
  seqnoView.setBigUint64(0, sequenceNumber);
  const id = new Uint8Array(author.length + 8);
  id.set(author);
  id.set(seqnoBytes, author.length);
  return id;
}

/** The ID of a verified message. */
export function messageIdOf(message: Message): Uint8Array {
  if (message.type !== 'signed') throw new Error('unsigned messages are refused by StrictSign');
  return goMessageId(message.from.toMultihash().bytes, message.sequenceNumber);
}

const NONE = new Uint8Array();
const MAX_ID_BYTES = 128;
/** The multihash of a peer is 38 bytes; longer ones are cut, and their verification then fails. */
const idScratch = Buffer.alloc(MAX_ID_BYTES);

/** The text of the message ID, from a message that is not verified yet. */
export function unverifiedMessageId(message: { readonly from?: Uint8Array; readonly seqno?: Uint8Array }): string {
  const { from: author = NONE, seqno = NONE } = message;
  const from = author.subarray(0, 100);
  const tail = seqno.subarray(0, 28);
  idScratch.set(from);
  idScratch.set(tail, from.length);
  return idScratch.toString('latin1', 0, from.length + tail.length);
}

/**
 * A message ID that a peer names may be a MiB long, and is remembered for half a minute when we ask for the message: it
 * is cut to the longest real one.
 */
function latin1(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, Math.min(bytes.byteLength, MAX_ID_BYTES)).toString('latin1');
}

export interface GossipChoices {
  readonly floodsub?: boolean;
  readonly preferenceOf?: ((peerId: string) => number) | undefined;
}

/**
 * `topicNames`: the topics we join. As in Go, messages and subscriptions of other topics are dropped before they cost
 * verification or memory. `floodsub`: whether it is offered to peers that speak nothing newer. `preferenceOf`: from 0
 * to 1, who is rather kept in the mesh; default: nobody.
 */
export function gossipOptions(
  topicNames: readonly string[],
  { floodsub = false, preferenceOf }: GossipChoices = {},
): Partial<GossipsubOpts> {
  return {
    allowedTopics: [...topicNames],
    metricsTopicStrToLabel: new Map(topicNames.map((name) => [name, name])),
    ...GO_MESH,
    globalSignaturePolicy: 'StrictSign',
    emitSelf: false,
    // No peers are named in a PRUNE. Those that others name are never dialled: that needs a score of 10, and none has more
    // than 1.
    doPX: false,
    allowPublishToZeroTopicPeers: true,
    fallbackToFloodsub: floodsub,
    msgIdFn: messageIdOf,
    msgIdToStrFn: latin1,
    // Known before the signature is verified, so that a duplicate costs no verification; only verified messages enter
    // the cache.
    fastMsgIdFn: unverifiedMessageId,
    idontwantMinDataSize: IDONTWANT_MIN_BYTES,
    maxInboundDataLength: MAX_GOSSIP_BYTES,
    maxOutboundBufferSize: MAX_OUTBOUND_BUFFER_BYTES,
    // Go has no peer scoring: honest Go peers forward everything unchecked, and many nodes share one address. A score is
    // never negative here, so it decides on nothing but who is rather kept in the mesh.
    scoreParams: {
      topics: {},
      IPColocationFactorWeight: 0,
      behaviourPenaltyWeight: 0,
      appSpecificWeight: preferenceOf === undefined ? 0 : 1,
      ...(preferenceOf === undefined ? {} : { appSpecificScore: preferenceOf }),
      topicScoreCap: 0,
      // The default keeps a record for an hour after a peer disconnected.
      retainScore: 0,
    },
    ...(preferenceOf === undefined
      ? {}
      : {
          Dscore: KEPT_BY_SCORE,
          opportunisticGraftPeers: 1,
          scoreThresholds: { opportunisticGraftThreshold: LEAST_MEDIAN_SCORE },
        }),
    runOnLimitedConnection: false,
    // Each GRAFT and PRUNE, refused ones too, would write to the peer store; the connections to trim are chosen without
    // tags.
    tagMeshPeers: false,
  };
}
