// The one table of message sizes: decoders and validators share it. Each bound is what a real message needs with its
// longest URL or text, and room.

const KIB = 1024;

/** Largest message of a topic in bytes. */
export const MAX_MESSAGE_BYTES = {
  block: 8 * KIB,
  subtree: 8 * KIB,
  mining_on: 8 * KIB,
  handshake: 8 * KIB,
  rejected_tx: 16 * KIB,
  /** Lists the subtrees of the block being assembled, 67 bytes each. */
  node_status: 256 * KIB,
  best_block: 4 * KIB,
} as const;

/** Largest message in an envelope of message-bus, in bytes without the envelope: what its receivers accept. */
export const MAX_ENVELOPED_BYTES = {
  ...MAX_MESSAGE_BYTES,
  block: 10 * KIB,
  subtree: 8 * KIB,
  rejected_tx: 8 * KIB,
  node_status: 10 * KIB,
} as const;

/** Room for the sender's name, escaped, and for the names of the fields. */
const ENVELOPE_ROOM = KIB;

/** Largest envelope around a message of `maxBytes`: base64 has four characters for three bytes. */
export function maxEnvelopeBytes(maxBytes: number): number {
  return Math.ceil(maxBytes / 3) * 4 + ENVELOPE_ROOM;
}

/** Largest message on a direct stream, which carries the handshake. */
export const MAX_DIRECT_STREAM_BYTES = 16 * KIB;
