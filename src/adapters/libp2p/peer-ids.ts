// Texts of libp2p's peer IDs. Encoding base58 takes microseconds and every message carries two IDs, so a bounded cache
// keeps them.
import type { PeerId as LibPeerId } from '@libp2p/interface';
import { peerIdFromMultihash, peerIdFromString } from '@libp2p/peer-id';
import { LRUCache } from 'lru-cache';
import * as Digest from 'multiformats/hashes/digest';
import type { PeerId } from '../../domain/ids.ts';
import { P2PError } from '../../lib/errors.ts';

const texts = new LRUCache<string, PeerId>({ max: 8192 });

/** Text form of a libp2p peer ID. */
export function peerIdText(peerId: LibPeerId): PeerId {
  return textOf(peerId.toMultihash().bytes, () => peerId);
}

/** The same for the bytes of its multihash. Throws for bytes that are none. */
export function peerIdTextOf(multihash: Uint8Array): PeerId {
  return textOf(multihash, () => peerIdFromMultihash(Digest.decode(multihash.slice())));
}

function textOf(multihash: Uint8Array, peerId: () => LibPeerId): PeerId {
  const key = Buffer.from(multihash.buffer, multihash.byteOffset, multihash.byteLength).toString('latin1');
  let text = texts.get(key);
  if (text === undefined) {
    text = peerId().toString() as PeerId;
    texts.set(key, text);
  }
  return text;
}

/** libp2p's form of a peer ID. Throws ADDRESS_INVALID. */
export function libPeerId(text: PeerId): LibPeerId {
  try {
    return peerIdFromString(text);
  } catch (cause) {
    throw new P2PError('ADDRESS_INVALID', `invalid peer ID "${text.slice(0, 100)}" (expected e.g. 12D3Koo…)`, {
      details: { peerId: text.slice(0, 128) },
      cause,
    });
  }
}
