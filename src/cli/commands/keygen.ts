// `teranode-p2p keygen`: makes the private key of a node or the shared key of a network, or shows the peer ID of a key.
// Secrets come from files or standard input and go to files or standard output, never on the command line, where other
// users of the machine can read them.
import { randomBytes } from 'node:crypto';
import { open, stat } from 'node:fs/promises';
import { resolve } from 'node:path';
import { generateNodeKey, type KeyForm, readNodeKey } from '../../adapters/libp2p/key-forms.ts';
import { P2PError } from '../../lib/errors.ts';
import { openMode, writePrivateFile } from '../../lib/private-file.ts';
import { terminalOf } from '../terminal.ts';
import type { CommandIo } from './io.ts';
import { rows, visible } from './table.ts';

interface KeygenFlags {
  readonly out?: string | undefined;
  readonly force?: boolean | undefined;
  readonly form: KeyForm;
  readonly from?: string | undefined;
  readonly sharedKey?: boolean | undefined;
  readonly json?: boolean | undefined;
}

const STANDARD_STREAM = '-';
const DEFAULT_FILE = 'p2p.key';
const OWNER_ONLY = 0o600;
/** As in Go: the key of a private network of libp2p. */
const SHARED_KEY_BYTES = 32;
/** The longest form has 192 characters. */
const MAX_KEY_BYTES = 4096;

/** Throws INPUT_INVALID, PRIVATE_KEY_INVALID, NOT_DONE when the file exists, FILE_UNUSABLE. */
export async function keygenCommand(flags: KeygenFlags, io: CommandIo): Promise<void> {
  if (flags.sharedKey === true) return await makeSharedKey(flags, io);
  const { from, form } = flags;
  const key = from === undefined ? await generateNodeKey() : readNodeKey(await keyBytes(from, io));
  const { peerId } = key;
  const out = flags.out ?? (from === undefined ? DEFAULT_FILE : undefined);
  if (out === STANDARD_STREAM) {
    // The key alone, so that it can be piped.
    io.stderr.write(`peer ID ${peerId}\n`);
    io.stdout.write(`${key.text(form)}\n`);
    return;
  }
  const file = out === undefined ? undefined : await writeSecret(out, key.text(form), flags, io);
  if (flags.json === true) {
    io.stdout.write(`${JSON.stringify({ peerId, file, form: file === undefined ? undefined : form })}\n`);
    return;
  }
  const written = file === undefined ? [] : ([['written to', `${file} (${form}, mode 600; keep it secret)`]] as const);
  io.stdout.write(rows([['peer ID', peerId], ...written], terminalOf(io)));
}

async function makeSharedKey(flags: KeygenFlags, io: CommandIo): Promise<void> {
  if (flags.from !== undefined) throw new P2PError('INPUT_INVALID', 'give --shared-key or --from, not both');
  const sharedKey = randomBytes(SHARED_KEY_BYTES).toString('hex');
  const { out = STANDARD_STREAM } = flags;
  if (out === STANDARD_STREAM) {
    io.stdout.write(`${flags.json === true ? JSON.stringify({ sharedKey }) : sharedKey}\n`);
    return;
  }
  const file = await writeSecret(out, sharedKey, flags, io);
  io.stdout.write(flags.json === true ? `${JSON.stringify({ file })}\n` : `shared key written to ${visible(file)}\n`);
}

/** Without a line feed: Go nodes decode the whole file. Returns the absolute path. */
async function writeSecret(out: string, text: string, { force }: KeygenFlags, io: CommandIo): Promise<string> {
  const file = resolve(io.cwd, out);
  if ((await stat(file).catch(() => undefined))?.isDirectory() === true)
    throw new P2PError('INPUT_INVALID', visible(`--out ${out} is a folder (expected a file)`));
  try {
    if (force === true) {
      await writePrivateFile(file, text, { isDurable: true });
      return file;
    }
    const handle = await open(file, 'wx', OWNER_ONLY);
    try {
      await handle.writeFile(text);
      await handle.sync();
    } finally {
      await handle.close();
    }
    return file;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw unusable(`cannot write ${file}`, error);
    throw new P2PError('NOT_DONE', visible(`${file} exists already (expected --out with a new file, or --force)`));
  }
}

async function keyBytes(from: string, io: CommandIo): Promise<Uint8Array> {
  if (from === STANDARD_STREAM) return await standardInput(io);
  const file = resolve(io.cwd, from);
  const handle = await open(file, 'r').catch((error: unknown) => {
    throw unusable(`cannot read ${file}`, error);
  });
  try {
    const about = await handle.stat();
    if (about.isDirectory())
      throw new P2PError('INPUT_INVALID', visible(`--from ${from} is a folder (expected a file)`));
    const mode = openMode(about);
    if (mode !== undefined)
      io.stderr.write(visible(`warning: other users can read ${file} (mode ${mode}, expected 600)`).concat('\n'));
    const { buffer, bytesRead } = await handle.read(Buffer.alloc(MAX_KEY_BYTES), 0, MAX_KEY_BYTES, 0);
    return buffer.subarray(0, bytesRead);
  } finally {
    await handle.close();
  }
}

function unusable(what: string, error: unknown): P2PError {
  return new P2PError('FILE_UNUSABLE', visible(`${what}: ${error instanceof Error ? error.message : error}`));
}

async function standardInput({ stdin, stderr }: CommandIo): Promise<Uint8Array> {
  if (stdin?.isTTY === true) stderr.write('paste the key, then press Enter and Ctrl-D\n');
  const chunks: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of stdin ?? []) {
    chunks.push(Buffer.from(chunk));
    bytes += chunk.length;
    if (bytes > MAX_KEY_BYTES) break;
  }
  return Buffer.concat(chunks).subarray(0, MAX_KEY_BYTES);
}
