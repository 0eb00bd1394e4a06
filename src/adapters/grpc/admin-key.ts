// The admin key: the setting, else <dataFolder>/admin.key, else a generated key that is stored in that file. Read
// access to the node's folder therefore includes the right to administer the node.
import { randomBytes } from 'node:crypto';
import { readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { P2PError } from '../../lib/errors.ts';
import { openMode, writePrivateFile } from '../../lib/private-file.ts';
import { type Logger, logUnfiltered } from '../../ports/log.ts';
import { isPlaceholderKey, isStrongKey, MIN_ADMIN_KEY_CHARS } from '../../settings/admin-key.ts';
import { adminKey } from '../../settings/types.ts';

const KEY_FILE = 'admin.key';
const KEY_BYTES = 32;

export interface AdminKeySources {
  /** `grpc_admin_api_key`, of whatever length; undefined, empty or a placeholder: the key is that of the file. */
  readonly configured: string | undefined;
  readonly dataFolder: string;
  readonly log: Logger;
}

/**
 * The key that the server requires. The file of a generated key is logged once, at any log level; no key is ever logged. Throws
 * ADMIN_KEY_REFUSED for a key that is weak or cannot be read, DATA_FOLDER_UNUSABLE when a new one cannot be written.
 */
export async function loadAdminKey(sources: AdminKeySources): Promise<string> {
  const { configured, log } = sources;
  const file = join(sources.dataFolder, KEY_FILE);
  if (!configured) return await ownKey(sources, file);
  if (!isPlaceholderKey(configured)) return sendableKey(configured, 'grpc_admin_api_key', 'set another key');
  log.warn(
    { file },
    `grpc_admin_api_key is a well-known placeholder and opens nothing; requests need the key in the file: set grpc_admin_api_key to a secret of at least ${MIN_ADMIN_KEY_CHARS} characters`,
  );
  return await ownKey(sources, file);
}

async function ownKey(sources: AdminKeySources, file: string): Promise<string> {
  const stored = await readAdminKey(sources.dataFolder);
  if (stored !== undefined) {
    await warnOfPermissions(file, sources.log);
    return stored;
  }
  const key = randomBytes(KEY_BYTES).toString('hex');
  await writeKey(file, key);
  logUnfiltered(sources.log, { file }, 'generated admin key');
  return key;
}

/** The key in the file; undefined when there is no file. Throws ADMIN_KEY_REFUSED. */
export async function readAdminKey(dataFolder: string): Promise<string | undefined> {
  const file = join(dataFolder, KEY_FILE);
  let text: string;
  try {
    text = await readFile(file, 'utf8');
  } catch (cause) {
    if (cause instanceof Error && 'code' in cause && cause.code === 'ENOENT') return undefined;
    throw new P2PError(
      'ADMIN_KEY_REFUSED',
      `cannot read the admin key file ${file}: give this user read permission, or set grpc_admin_api_key`,
      { cause },
    );
  }
  return checkedKey(text.trim(), file, 'delete the file to have one generated, or set grpc_admin_api_key');
}

function checkedKey(key: string, where: string, remedy: string): string {
  if (!isStrongKey(key)) throw refusal(where, remedy);
  return sendableKey(key, where, remedy);
}

function sendableKey(key: string, where: string, remedy: string): string {
  if (adminKey.parse(key) === undefined) throw refusal(where, remedy);
  return key;
}

function refusal(where: string, remedy: string): P2PError {
  const expected = `${adminKey.expects}, none of the well-known ones`;
  return new P2PError('ADMIN_KEY_REFUSED', `invalid admin key in ${where} (expected ${expected}): ${remedy}`);
}

async function writeKey(file: string, key: string): Promise<void> {
  try {
    await writePrivateFile(file, `${key}\n`, { isDurable: true });
  } catch (cause) {
    throw new P2PError('DATA_FOLDER_UNUSABLE', `cannot write the admin key to ${file}`, { cause });
  }
}

async function warnOfPermissions(file: string, log: Logger): Promise<void> {
  const mode = openMode(await stat(file));
  if (mode !== undefined) log.warn({ file, mode }, 'admin key file is readable by other users');
}
