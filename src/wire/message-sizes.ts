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

/** Largest message on a direct stream, which carries the handshake. */
export const MAX_DIRECT_STREAM_BYTES = 16 * KIB;
