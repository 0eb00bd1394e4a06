// The forms in which a node's private key is written, ours and those of Go nodes and clients.
import { generateKeyPair, privateKeyToProtobuf } from '@libp2p/crypto/keys';
import type { Ed25519PrivateKey } from '@libp2p/interface';
import { peerIdFromPrivateKey } from '@libp2p/peer-id';
import { P2PError } from '../../lib/errors.ts';
import { parseAnyForm } from './identity.ts';

/**
 * `hex`: 64 bytes, seed and public half, as in `p2p_private_key` and in a Go node's `p2p.key`. `hex96`: the public half
 * twice, as an old Go generator wrote it. `protobuf`: libp2p's own form in hex, as in `p2p_key.hex` of Go clients.
 */
export type KeyForm = 'hex' | 'hex96' | 'protobuf';

export interface NodeKey {
  readonly peerId: string;
  /** The key itself: a secret. */
  text(form: KeyForm): string;
}

export async function generateNodeKey(): Promise<NodeKey> {
  return nodeKey(await generateKeyPair('Ed25519'));
}

/** A key in any of the forms, also as the bytes that the hex stands for. Throws PRIVATE_KEY_INVALID. */
export function readNodeKey(bytes: Uint8Array): NodeKey {
  try {
    return nodeKey(parseAnyForm(bytes));
  } catch (error) {
    if (error instanceof P2PError) throw error;
    throw new P2PError(
      'PRIVATE_KEY_INVALID',
      'not an Ed25519 private key (expected 64 or 96 bytes of hex, or 08011240 and 64 bytes of hex)',
    );
  }
}

function nodeKey(key: Ed25519PrivateKey): NodeKey {
  const raw = Buffer.from(key.raw);
  return {
    peerId: peerIdFromPrivateKey(key).toString(),
    text: (form) => {
      if (form === 'protobuf') return Buffer.from(privateKeyToProtobuf(key)).toString('hex');
      return (form === 'hex' ? raw : Buffer.concat([raw, raw.subarray(32)])).toString('hex');
    },
  };
}
