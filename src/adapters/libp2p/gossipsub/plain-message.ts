// Messages of Ed25519 authors in the one encoding that all libraries write: what nearly every message on the network is.
import type { ReceivedMessage } from './parts.ts';

export const SIGNATURE_BYTES = 64;
/**
 * An Ed25519 peer ID: identity multihash of 36 bytes, which are the key in protobuf form: type, length, and 32 raw
 * bytes at the end.
 */
const ID_PREFIX = Buffer.from([0x00, 36, 8, 1, 18, 32]);
const ID_BYTES = 38;
/** Where the raw key begins in the ID, and where its protobuf form does. */
export const KEY_OFFSET = ID_PREFIX.length;
const PROTOBUF_KEY_OFFSET = 2;

/** A message whose author's key stands in its ID. */
export type PlainMessage = ReceivedMessage & { readonly from: Uint8Array };

/** The author's key stands in its ID, and the key field is absent or equal. */
export function isPlainMessage(message: ReceivedMessage): message is PlainMessage {
  const { from, key } = message;
  if (!isEd25519Id(from)) return false;
  if (key === undefined) return true;
  return (
    key.length === ID_BYTES - PROTOBUF_KEY_OFFSET && key.every((byte, i) => from[i + PROTOBUF_KEY_OFFSET] === byte)
  );
}

/** Whether the author and the key that may stand beside it look like Ed25519, and so cost little to verify. */
export function isEd25519({ from, key }: ReceivedMessage): boolean {
  return isEd25519Id(from) && (key === undefined || key.length === ID_BYTES - PROTOBUF_KEY_OFFSET);
}

function isEd25519Id(id: Uint8Array | undefined): id is Uint8Array {
  if (id?.length !== ID_BYTES) return false;
  for (let i = 0; i < KEY_OFFSET; i += 1) if (id[i] !== ID_PREFIX[i]) return false;
  return true;
}
