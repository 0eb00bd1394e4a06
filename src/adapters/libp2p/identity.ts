// Where the node's key comes from (spec "Network Configuration", p2p_private_key): setting, blockchain state store, a Go node's
// key file, else generated. Whatever is not the setting ends in the store, so that the peer id survives restarts and a move from Go.
import { access, readFile, rename } from 'node:fs/promises';
import { join } from 'node:path';
import { generateKeyPair, privateKeyFromProtobuf, privateKeyFromRaw } from '@libp2p/crypto/keys';
import type { Ed25519PrivateKey } from '@libp2p/interface';
import { P2PError } from '../../lib/errors.ts';
import type { BlockchainClient } from '../../ports/blockchain-client.ts';
import type { Logger } from '../../ports/log.ts';

/** Key in the blockchain state store, as the Go service uses it. */
export const STATE_KEY = 'p2p.privateKey';
/** A Go node's key file: hex text. */
const GO_KEY_FILE = 'p2p.key';
const MAX_KEY_FILE_BYTES = 4096;
const MAX_MOVED_FILES = 100;
/** libp2p's protobuf form begins with field 1 (type), value 1 (Ed25519). */
const PROTOBUF_PREFIX = '0801';

/** 64 bytes (seed, public) or 96 (the public half twice, as an old Go generator wrote). Throws PRIVATE_KEY_INVALID. */
export function parsePrivateKey(hex: string): Ed25519PrivateKey {
  const text = hex.trim();
  if (!/^(?:[0-9a-f]{128}|[0-9a-f]{192})$/i.test(text)) {
    throw new P2PError('PRIVATE_KEY_INVALID', 'p2p_private_key must be 64 or 96 bytes as hex (128 or 192 digits)');
  }
  const raw = Buffer.from(text, 'hex');
  if (raw.length === 96 && !raw.subarray(32, 64).equals(raw.subarray(64))) {
    throw new P2PError('PRIVATE_KEY_INVALID', 'a key of 96 bytes must repeat its public half');
  }
  return ed25519FromRaw(raw.subarray(0, 64));
}

function ed25519FromRaw(raw: Uint8Array): Ed25519PrivateKey {
  // libp2p derives the public half from the seed itself; a pair that does not belong together would sign what nobody can verify.
  const key = privateKeyFromRaw(raw);
  if (key.type !== 'Ed25519') throw new P2PError('PRIVATE_KEY_INVALID', 'only Ed25519 keys are supported');
  const message = Buffer.from('teranode-p2p key check');
  const signature = key.sign(message);
  if (signature instanceof Promise || key.publicKey.verify(message, signature) !== true) {
    throw new P2PError('PRIVATE_KEY_INVALID', 'the public half of the key does not belong to its seed');
  }
  return key;
}

/** The store keeps raw hex as ours; a Go node may have written libp2p's protobuf form, as bytes or as hex. */
export function parseStoredKey(data: Uint8Array): Ed25519PrivateKey {
  const text = Buffer.from(data).toString('latin1').trim();
  try {
    if (/^[0-9a-f]+$/i.test(text) && !text.startsWith(PROTOBUF_PREFIX)) return parsePrivateKey(text);
    if (/^[0-9a-f]+$/i.test(text)) return ed25519FromProtobuf(Buffer.from(text, 'hex'));
    return data.length === 64 ? ed25519FromRaw(data) : ed25519FromProtobuf(data);
  } catch (error) {
    if (error instanceof P2PError) throw error;
    throw new P2PError('PRIVATE_KEY_INVALID', `the key in the blockchain state store (${STATE_KEY}) is damaged`, {
      cause: error,
    });
  }
}

function ed25519FromProtobuf(bytes: Uint8Array): Ed25519PrivateKey {
  const key = privateKeyFromProtobuf(bytes);
  if (key.type !== 'Ed25519') throw new P2PError('PRIVATE_KEY_INVALID', 'only Ed25519 keys are supported');
  return ed25519FromRaw(key.raw);
}

export interface IdentityOptions {
  /** `p2p_private_key`, or empty. */
  readonly privateKey: string | undefined;
  /** Folders in which a Go node may have left its key file. */
  readonly keyFileFolders: readonly string[];
}

/** The node's key by the order of sources. Throws PRIVATE_KEY_INVALID; a store that cannot be written is an error too. */
export async function loadIdentity(
  deps: { blockchain: BlockchainClient; log: Logger },
  options: IdentityOptions,
): Promise<Ed25519PrivateKey> {
  if (options.privateKey !== undefined && options.privateKey !== '') return parsePrivateKey(options.privateKey);
  const stored = await deps.blockchain.getState(STATE_KEY);
  if (stored !== undefined) {
    const key = parseStoredKey(stored);
    await retireLeftKeyFile(key, options.keyFileFolders, deps.log);
    return key;
  }
  const filed = await readGoKeyFile(options.keyFileFolders);
  const key = filed?.key ?? (await generateKeyPair('Ed25519'));
  await deps.blockchain.setState(STATE_KEY, Buffer.from(Buffer.from(key.raw).toString('hex')));
  deps.log.info({ source: filed?.file ?? 'generated' }, 'identity stored');
  if (filed !== undefined) await retireKeyFile(filed.file, deps.log);
  return key;
}

async function readGoKeyFile(
  folders: readonly string[],
): Promise<{ key: Ed25519PrivateKey; file: string } | undefined> {
  for (const folder of folders) {
    const file = join(folder, GO_KEY_FILE);
    let text: Buffer;
    try {
      text = await readFile(file);
    } catch {
      continue;
    }
    if (text.length > MAX_KEY_FILE_BYTES)
      throw new P2PError('PRIVATE_KEY_INVALID', `${file} is no key file: too large`);
    return { key: parseStoredKey(text), file };
  }
  return undefined;
}

/** A file that could not be renamed before, or not in time. Another key's is not ours to touch. */
async function retireLeftKeyFile(key: Ed25519PrivateKey, folders: readonly string[], log: Logger): Promise<void> {
  try {
    const left = await readGoKeyFile(folders);
    if (left?.key.publicKey.equals(key.publicKey)) await retireKeyFile(left.file, log);
  } catch (error) {
    log.debug({ err: error }, 'a key file beside the stored key is not readable, and not needed');
  }
}

/** The key lives in the store now: whoever starts a node on the file again would be a second one of the same id. */
async function retireKeyFile(file: string, log: Logger): Promise<void> {
  try {
    const movedTo = await freeName(`${file}.moved`);
    await rename(file, movedTo);
    log.info({ file, movedTo }, 'key file moved: its key is in the store now');
  } catch (error) {
    log.warn({ file, err: error }, 'key file could not be moved: remove it, two nodes must never share a peer id');
  }
}

/** An older file of that name holds another key, perhaps the only copy. */
async function freeName(wanted: string): Promise<string> {
  for (let i = 1; i <= MAX_MOVED_FILES; i += 1) {
    const name = i === 1 ? wanted : `${wanted}.${i}`;
    try {
      await access(name);
    } catch {
      return name;
    }
  }
  throw new RangeError(`${MAX_MOVED_FILES} files named ${wanted}`);
}
