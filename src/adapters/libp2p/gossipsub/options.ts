// Gossipsub as the Go network runs it. js-libp2p's own defaults hash message ids differently and score neighbours, which Go does not;
// both lose messages in a mixed network.
import type { GossipsubOpts } from '@libp2p/gossipsub';

/** go-libp2p-pubsub's largest message, and what one RPC may carry. */
export const MAX_GOSSIP_BYTES = 1024 * 1024;
/** What may wait for one slow neighbour before its messages are dropped: some seconds at full rate. */
const MAX_OUTBOUND_BUFFER_BYTES = 16 * 1024 * 1024;
/** go-libp2p-pubsub's seen-cache. */
export const SEEN_KEEP_MS = 120_000;
/** go-libp2p-pubsub's mesh and heartbeat. */
const GO_MESH = { D: 6, Dlo: 5, Dhi: 12, Dout: 2, Dlazy: 6, heartbeatInterval: 1000, seenTTL: SEEN_KEEP_MS } as const;

const seqnoBytes = new Uint8Array(8);
const seqnoView = new DataView(seqnoBytes.buffer);

/** Go's message id: the author's multihash, then the sequence number as 8 bytes big-endian. */
export function goMessageId(author: Uint8Array, sequenceNumber: bigint): Uint8Array {
  seqnoView.setBigUint64(0, sequenceNumber);
  const id = new Uint8Array(author.length + 8);
  id.set(author);
  id.set(seqnoBytes, author.length);
  return id;
}

const NONE = new Uint8Array();
const MAX_ID_BYTES = 128;
/** A multihash of a peer is 38 bytes; longer ones are cut, which their verification then refuses. */
const idScratch = Buffer.alloc(MAX_ID_BYTES);

/** The same text as that of the message id, from the parts of a message that is not verified yet. */
function fastId(author: Uint8Array = NONE, seqno: Uint8Array = NONE): string {
  const from = author.subarray(0, 100);
  const tail = seqno.subarray(0, 28);
  idScratch.set(from);
  idScratch.set(tail, from.length);
  return idScratch.toString('latin1', 0, from.length + tail.length);
}

/** What others call an id may be a MiB long, and is remembered for half a minute when we ask for it: no more of it than any message has. */
function latin1(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, Math.min(bytes.byteLength, MAX_ID_BYTES)).toString('latin1');
}

/** `topicNames`: what is joined. As in Go, messages and subscriptions of other topics are dropped before they cost a verification or a place. */
export function gossipOptions(topicNames: readonly string[]): Partial<GossipsubOpts> {
  return {
    allowedTopics: [...topicNames],
    metricsTopicStrToLabel: new Map(topicNames.map((name) => [name, name])),
    ...GO_MESH,
    globalSignaturePolicy: 'StrictSign',
    emitSelf: false,
    allowPublishToZeroTopicPeers: true,
    fallbackToFloodsub: false,
    msgIdFn: (message) => {
      if (message.type !== 'signed') throw new Error('unsigned messages are refused by StrictSign');
      return goMessageId(message.from.toMultihash().bytes, message.sequenceNumber);
    },
    msgIdToStrFn: latin1,
    // Known before the signature is checked, so that each duplicate costs no verification; only verified messages enter the cache.
    fastMsgIdFn: (message) => fastId(message.from, message.seqno),
    maxInboundDataLength: MAX_GOSSIP_BYTES,
    maxOutboundBufferSize: MAX_OUTBOUND_BUFFER_BYTES,
    // No peer scoring in Go: honest Go neighbours forward everything unchecked, and many nodes share one address.
    scoreParams: {
      topics: {},
      IPColocationFactorWeight: 0,
      behaviourPenaltyWeight: 0,
      appSpecificWeight: 0,
      topicScoreCap: 0,
      // By default an hour, for each identity that ever came.
      retainScore: 0,
    },
    runOnLimitedConnection: false,
    // Each GRAFT and PRUNE of a neighbour, refused ones too, would write to the peer store; whom to keep is chosen without tags.
    tagMeshPeers: false,
  };
}
