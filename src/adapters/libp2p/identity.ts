// The node's private key (spec "Network Configuration", p2p_private_key). Sources in order: the setting, the blockchain
// state store, a Go node's key file, a new key. A key that is not from the setting is kept in the store, so that the
// peer ID survives restarts and a move from Go. On message-bus the key file comes before the store and is where the key
// is kept, as the Go nodes of that network do.
import { randomUUID } from 'node:crypto';
import { access, link, mkdir, open, readFile, rename, rm, stat } from 'node:fs/promises';
import { dirname, join, resolve } from 'node:path';
import { generateKeyPair, privateKeyFromProtobuf, privateKeyFromRaw } from '@libp2p/crypto/keys';
import type { Ed25519PrivateKey } from '@libp2p/interface';
import { P2PError } from '../../lib/errors.ts';
import { createPrivateFile, OWNER_ONLY_FOLDER, openMode } from '../../lib/private-file.ts';
import type { BlockchainClient } from '../../ports/blockchain-client.ts';
import type { Logger } from '../../ports/log.ts';

/** Key in the blockchain state store, as the Go service uses it. */
export const STATE_KEY = 'p2p.privateKey';
/** A Go node's key file: hex text. */
const GO_KEY_FILE = 'p2p.key';
const MAX_KEY_FILE_BYTES = 4096;
/** What `link` fails with on file systems without hard links. */
const NO_LINKS: ReadonlySet<string | undefined> = new Set(['EPERM', 'ENOTSUP', 'EOPNOTSUPP', 'ENOSYS']);
const MAX_MOVED_FILES = 100;
/** libp2p's protobuf form: type Ed25519, then 64 bytes. Keys of other types and lengths have other prefixes. */
const PROTOBUF_KEY = /^08011240[0-9a-f]{128}$/i;
const RAW_KEY = /^(?:[0-9a-f]{128}|[0-9a-f]{192})$/i;

/** 64 bytes (seed, public) or 96 (the public half twice, as an old Go generator wrote). Throws PRIVATE_KEY_INVALID. */
export function parsePrivateKey(hex: string): Ed25519PrivateKey {
  const text = hex.trim();
  if (!RAW_KEY.test(text)) {
    throw new P2PError(
      'PRIVATE_KEY_INVALID',
      'invalid p2p_private_key (expected 64 or 96 bytes of hex, which are 128 or 192 digits)',
    );
  }
  const raw = Buffer.from(text, 'hex');
  if (raw.length === 96 && !raw.subarray(32, 64).equals(raw.subarray(64))) {
    throw new P2PError('PRIVATE_KEY_INVALID', 'invalid 96-byte private key (expected the public half twice)');
  }
  return ed25519FromRaw(raw.subarray(0, 64));
}

function ed25519FromRaw(raw: Uint8Array): Ed25519PrivateKey {
  // libp2p derives the public half from the seed: with a mismatched pair nobody could verify what this node signs.
  const key = privateKeyFromRaw(raw);
  if (key.type !== 'Ed25519') throw new P2PError('PRIVATE_KEY_INVALID', 'only Ed25519 keys are supported');
  const message = Buffer.from('teranode-p2p key check');
  const signature = key.sign(message);
  if (signature instanceof Promise || key.publicKey.verify(message, signature) !== true) {
    throw new P2PError('PRIVATE_KEY_INVALID', 'the public half of the key does not belong to its seed');
  }
  return key;
}

/** The store holds raw hex; a Go node may have written another form. Throws PRIVATE_KEY_INVALID. */
export function parseStoredKey(data: Uint8Array): Ed25519PrivateKey {
  try {
    return parseAnyForm(data);
  } catch (error) {
    if (error instanceof P2PError) throw error;
    throw new P2PError('PRIVATE_KEY_INVALID', `the key in the blockchain state store (${STATE_KEY}) is damaged`, {
      cause: error,
    });
  }
}

/** Raw or libp2p's protobuf form, as bytes or as hex. Throws PRIVATE_KEY_INVALID, and what libp2p throws. */
export function parseAnyForm(data: Uint8Array): Ed25519PrivateKey {
  const text = Buffer.from(data).toString('latin1').trim();
  // By length: a raw key may begin like the protobuf form.
  if (RAW_KEY.test(text)) return parsePrivateKey(text);
  if (/^[0-9a-f]+$/i.test(text)) return ed25519FromProtobuf(Buffer.from(text, 'hex'));
  return data.length === 64 ? ed25519FromRaw(data) : ed25519FromProtobuf(data);
}

function ed25519FromProtobuf(bytes: Uint8Array): Ed25519PrivateKey {
  const key = privateKeyFromProtobuf(bytes);
  if (key.type !== 'Ed25519') throw new P2PError('PRIVATE_KEY_INVALID', 'only Ed25519 keys are supported');
  return ed25519FromRaw(key.raw);
}

/** For a node that keeps no key: that of the setting, else one that is forgotten. Throws PRIVATE_KEY_INVALID. */
export async function trialKey(
  setting: string | undefined,
): Promise<{ readonly key: Ed25519PrivateKey; readonly isOwn: boolean }> {
  if (setting) return { key: parseKeyHex(setting, 'p2p_private_key'), isOwn: true };
  return { key: await generateKeyPair('Ed25519'), isOwn: false };
}

export interface IdentityOptions {
  /** `p2p_private_key`, or empty. */
  readonly privateKey: string | undefined;
  /** Folders in which a Go node may have left its key file. */
  readonly keyFileFolders: readonly string[];
  /**
   * On message-bus: the folders of the key file, `p2p_peer_cache_dir` and `dataFolder`. The first file found counts; a
   * new key is written to the first folder.
   */
  readonly busKeyFolders?: readonly [string, ...string[]];
}

/**
 * The node's key from the first source that has one. Throws PRIVATE_KEY_INVALID, and the store's error when it cannot
 * be written.
 */
export async function loadIdentity(
  deps: { blockchain: BlockchainClient; log: Logger },
  options: IdentityOptions,
): Promise<Ed25519PrivateKey> {
  const { privateKey = '', busKeyFolders } = options;
  if (busKeyFolders !== undefined) return await loadBusIdentity(deps, privateKey, busKeyFolders);
  if (privateKey !== '') return parsePrivateKey(privateKey);
  const stored = await deps.blockchain.getState(STATE_KEY);
  if (stored !== undefined) {
    const key = parseStoredKey(stored);
    await retireLeftKeyFile(key, options.keyFileFolders, deps.log);
    return key;
  }
  const filed = await readGoKeyFile(options.keyFileFolders);
  const key = filed?.key ?? (await generateKeyPair('Ed25519'));
  await deps.blockchain.setState(STATE_KEY, Buffer.from(Buffer.from(key.raw).toString('hex')));
  deps.log.info({ source: filed?.file ?? 'generated' }, 'stored private key');
  if (filed !== undefined) await retireKeyFile(filed.file, deps.log);
  return key;
}

/**
 * The setting, the file, the store, a new key. A file that cannot be read is an error and never leads to a new key.
 * What is not from the setting is in the file afterwards; a new key that cannot be written there is an error too.
 */
async function loadBusIdentity(
  { blockchain, log }: { readonly blockchain: BlockchainClient; readonly log: Logger },
  setting: string,
  [folder, ...further]: readonly [string, ...string[]],
): Promise<Ed25519PrivateKey> {
  if (setting !== '') return parseKeyHex(setting, 'p2p_private_key');
  const file = join(folder, GO_KEY_FILE);
  const filed = await readFirstKeyFile([file, ...further.map((each) => join(each, GO_KEY_FILE))], log);
  if (filed !== undefined) return filed;
  const stored = await blockchain.getState(STATE_KEY);
  const key = stored === undefined ? await generateKeyPair('Ed25519') : parseStoredKey(stored);
  if (!(await writeKeyFile(file, Buffer.from(key.raw).toString('hex')))) {
    // Another start in this folder was faster, and its key counts.
    return parseKeyHex((await readKeyFile(file, log)) ?? '', `key file ${file}`);
  }
  log.info({ file, source: stored === undefined ? 'generated' : 'blockchain state store' }, 'wrote private key');
  return key;
}

/** 64 or 96 bytes, or libp2p's protobuf form of 64, as hex. Throws PRIVATE_KEY_INVALID. */
function parseKeyHex(hex: string, where: string): Ed25519PrivateKey {
  const text = hex.trim();
  try {
    return PROTOBUF_KEY.test(text) ? ed25519FromProtobuf(Buffer.from(text, 'hex')) : parsePrivateKey(text);
  } catch (cause) {
    throw new P2PError(
      'PRIVATE_KEY_INVALID',
      `invalid private key in ${where} (expected 64 or 96 bytes of hex, or 08011240 and 64 bytes of hex)`,
      { cause },
    );
  }
}

/** The key of the first file that exists; warns of later ones with another key. Throws PRIVATE_KEY_INVALID. */
async function readFirstKeyFile(files: readonly string[], log: Logger): Promise<Ed25519PrivateKey | undefined> {
  let first: { readonly file: string; readonly key: Ed25519PrivateKey } | undefined;
  for (const file of new Set(files.map((each) => resolve(each)))) {
    const text = await readKeyFile(file, log);
    if (text === undefined) continue;
    const key = parseKeyHex(text, `key file ${file}`);
    first ??= { file, key };
    if (!first.key.publicKey.equals(key.publicKey)) {
      log.warn({ file: first.file, unused: file }, 'two key files have different keys; the first one is used');
    }
  }
  return first?.key;
}

/** undefined when there is no file. Throws PRIVATE_KEY_INVALID when it cannot be read. */
async function readKeyFile(file: string, log: Logger): Promise<string | undefined> {
  try {
    const text = await readFile(file, 'latin1');
    const mode = openMode(await stat(file));
    if (mode !== undefined) log.warn({ file, mode }, 'other users can read the private key (expected mode 600)');
    return text.slice(0, MAX_KEY_FILE_BYTES);
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw new P2PError('PRIVATE_KEY_INVALID', `failed to read key file ${file}`, { cause });
  }
}

/**
 * Whole or not at all, and readable by this user only. False, and nothing is written, when there is a file already.
 * Throws PRIVATE_KEY_INVALID.
 */
async function writeKeyFile(file: string, hex: string): Promise<boolean> {
  const next = `${file}.${randomUUID()}.new`;
  try {
    await mkdir(dirname(file), { recursive: true, mode: OWNER_ONLY_FOLDER });
    await createPrivateFile(next, hex, { isDurable: true });
    await linkOrRename(next, file);
    await syncFolder(dirname(file));
    return true;
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code === 'EEXIST') return false;
    throw new P2PError('PRIVATE_KEY_INVALID', `failed to write the private key to ${file}`, { cause });
  } finally {
    await rm(next, { force: true });
  }
}

/** Throws EEXIST when there is a file `to`, where the file system has hard links. */
async function linkOrRename(from: string, to: string): Promise<void> {
  try {
    await link(from, to);
  } catch (error) {
    if (!NO_LINKS.has((error as NodeJS.ErrnoException).code)) throw error;
    await rename(from, to);
  }
}

/** The new name survives a power failure only once its folder is written; some file systems cannot. */
async function syncFolder(folder: string): Promise<void> {
  const handle = await open(folder, 'r');
  try {
    await handle.sync().catch(() => {});
  } finally {
    await handle.close();
  }
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
      throw new P2PError(
        'PRIVATE_KEY_INVALID',
        `key file ${file} is too large (${text.length} bytes, at most ${MAX_KEY_FILE_BYTES})`,
      );
    return { key: parseStoredKey(text), file };
  }
  return undefined;
}

/** Renames a key file that an earlier start left in place. A file with another key is not touched. */
async function retireLeftKeyFile(key: Ed25519PrivateKey, folders: readonly string[], log: Logger): Promise<void> {
  try {
    const left = await readGoKeyFile(folders);
    if (left?.key.publicKey.equals(key.publicKey)) await retireKeyFile(left.file, log);
  } catch (error) {
    log.debug({ err: error }, 'failed to read a key file that is not needed, as a key is stored');
  }
}

/** The key is in the store now: a node started on the file again would be a second one with the same peer ID. */
async function retireKeyFile(file: string, log: Logger): Promise<void> {
  try {
    const movedTo = await freeName(`${file}.moved`);
    await rename(file, movedTo);
    log.info({ file, movedTo }, 'renamed key file, as its key is stored');
  } catch (error) {
    log.warn(
      { file, err: error },
      'failed to rename key file: remove it, because two nodes must never share a peer ID',
    );
  }
}

/** A name that is not taken: an older file may hold the only copy of another key. */
async function freeName(wanted: string): Promise<string> {
  for (let i = 1; i <= MAX_MOVED_FILES; i += 1) {
    const name = i === 1 ? wanted : `${wanted}.${i}`;
    try {
      await access(name);
    } catch {
      return name;
    }
  }
  throw new RangeError(`there are already ${MAX_MOVED_FILES} files named ${wanted}`);
}
