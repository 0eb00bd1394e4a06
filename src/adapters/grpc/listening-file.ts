// `<dataFolder>/grpc.json`: where the node of the folder last listened for gRPC, so that the command line finds it
// whatever address it was given. The file stays when the node ends; readers compare the peer ID.
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { P2PError } from '../../lib/errors.ts';
import { writePrivateFile } from '../../lib/private-file.ts';

const FILE = 'grpc.json';

export interface Listening {
  /** `host:port` as bound. */
  readonly address: string;
  readonly peerId: string;
  /** `security_level_grpc`. */
  readonly securityLevel: number;
  /** Absolute paths of the node's certificate files; empty where it has none. */
  readonly caFile: string;
  readonly certFile: string;
  readonly keyFile: string;
}

/** Replaces the file at once. Throws DATA_FOLDER_UNUSABLE. */
export async function writeListening(dataFolder: string, listening: Listening): Promise<void> {
  const file = join(dataFolder, FILE);
  try {
    await writePrivateFile(file, `${JSON.stringify(listening)}\n`, { isDurable: false });
  } catch (cause) {
    throw new P2PError('DATA_FOLDER_UNUSABLE', `cannot write ${file}`, { cause });
  }
}

/** undefined when the file does not exist. Throws DATA_FOLDER_UNUSABLE when it is unreadable or malformed. */
export async function readListening(dataFolder: string): Promise<Listening | undefined> {
  const file = join(dataFolder, FILE);
  try {
    const { address, peerId, securityLevel, caFile, certFile, keyFile } = JSON.parse(await readFile(file, 'utf8'));
    const texts = [address, peerId, caFile, certFile, keyFile];
    if (texts.every((each) => typeof each === 'string') && [0, 1, 2, 3].includes(securityLevel))
      return { address, peerId, securityLevel, caFile, certFile, keyFile };
    throw new Error('unknown form');
  } catch (cause) {
    if (cause instanceof Error && 'code' in cause && cause.code === 'ENOENT') return undefined;
    throw new P2PError(
      'DATA_FOLDER_UNUSABLE',
      `cannot read ${file}, which the running node writes: give this user read permission, or give --address`,
      { cause },
    );
  }
}
