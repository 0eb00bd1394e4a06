// Peer-discovery bytes, with which TypeScript listeners announce themselves on every topic they read: protobuf with a
// public key in field 1 and repeated multiaddrs in field 2. They are not JSON, and not an offence.

export interface PeerDiscovery {
  /** libp2p's protobuf form of a public key. */
  readonly publicKey: Uint8Array;
  readonly multiaddrs: readonly Uint8Array[];
}

const MAX_BYTES = 4096;
const MAX_MULTIADDRS = 64;
/** Tags: field number times 8, plus 2 for length-delimited. */
const KEY_TAG = 0x0a;
const ADDRESS_TAG = 0x12;

/** undefined for any other bytes. Cheap for JSON, whose first byte differs. */
export function decodePeerDiscovery(bytes: Uint8Array): PeerDiscovery | undefined {
  if (bytes[0] !== KEY_TAG || bytes.byteLength > MAX_BYTES) return undefined;
  let publicKey: Uint8Array | undefined;
  const multiaddrs: Uint8Array[] = [];
  let at = 0;
  while (at < bytes.byteLength) {
    const tag = bytes[at];
    const length = lengthAt(bytes, at + 1);
    if (length === undefined) return undefined;
    const end = length.next + length.value;
    if (end > bytes.byteLength) return undefined;
    const field = bytes.subarray(length.next, end);
    if (tag === KEY_TAG && publicKey === undefined) publicKey = field;
    else if (tag === ADDRESS_TAG && multiaddrs.length < MAX_MULTIADDRS) multiaddrs.push(field);
    else return undefined;
    at = end;
  }
  return publicKey === undefined ? undefined : { publicKey, multiaddrs };
}

/** A varint of at most two bytes, because no field is longer than 4 KiB. */
function lengthAt(bytes: Uint8Array, at: number): { value: number; next: number } | undefined {
  const first = bytes[at];
  if (first === undefined) return undefined;
  if (first < 0x80) return { value: first, next: at + 1 };
  const second = bytes[at + 1];
  return second === undefined || second >= 0x80 ? undefined : { value: (first & 0x7f) | (second << 7), next: at + 2 };
}
