// The headers of a tar archive (POSIX ustar) with plain files only. `tar -tf` and `tar -xf` read what this writes.

export const TAR_BLOCK_BYTES = 512;
const MAX_NAME_BYTES = 100;
/** Eleven octal digits. */
const MAX_FILE_BYTES = 8 ** 11 - 1;
const REGULAR_FILE = '0';
const CHECKSUM = { offset: 148, length: 8 } as const;

export interface TarEntry {
  readonly name: string;
  readonly bytes: number;
}

/** The header block of a file with mode 600. Throws RangeError for a name or size that does not fit. */
export function tarHeader({ name, bytes }: TarEntry, mtimeMs: number): Buffer {
  if (Buffer.byteLength(name) > MAX_NAME_BYTES) throw new RangeError(`file name ${name} is too long for an archive`);
  if (bytes > MAX_FILE_BYTES) throw new RangeError(`file ${name} of ${bytes} bytes is too large for an archive`);
  const block = Buffer.alloc(TAR_BLOCK_BYTES);
  const octal = (value: number, digits: number) => value.toString(8).padStart(digits, '0');
  const fields: readonly (readonly [offset: number, text: string])[] = [
    [0, name],
    [100, `${octal(0o600, 7)}\0`],
    [108, `${octal(0, 7)}\0`],
    [116, `${octal(0, 7)}\0`],
    [124, `${octal(bytes, 11)}\0`],
    [136, `${octal(Math.floor(mtimeMs / 1000), 11)}\0`],
    [CHECKSUM.offset, ' '.repeat(CHECKSUM.length)],
    [156, REGULAR_FILE],
    [257, 'ustar\x0000'],
  ];
  for (const [offset, text] of fields) block.write(text, offset, 'utf8');
  block.write(`${octal(checksum(block), 6)}\0 `, CHECKSUM.offset, 'latin1');
  return block;
}

/** Bytes of zero that fill a file's last block. */
export function tarPadding(bytes: number): number {
  return (TAR_BLOCK_BYTES - (bytes % TAR_BLOCK_BYTES)) % TAR_BLOCK_BYTES;
}

/** undefined for the block of zeros that ends the archive. Throws RangeError for what is no header of a plain file. */
export function readTarHeader(block: Uint8Array): TarEntry | undefined {
  if (block.every((byte) => byte === 0)) return undefined;
  const bytes = Buffer.from(block);
  const text = (offset: number, length: number) =>
    bytes.toString('utf8', offset, offset + length).split('\0', 1)[0] ?? '';
  const blank = Buffer.from(bytes).fill(' ', CHECKSUM.offset, CHECKSUM.offset + CHECKSUM.length);
  const isTar = text(257, 5) === 'ustar' && Number.parseInt(text(CHECKSUM.offset, 8), 8) === checksum(blank);
  const size = Number.parseInt(text(124, 12), 8);
  if (!isTar || text(156, 1) !== REGULAR_FILE || !Number.isSafeInteger(size) || size < 0)
    throw new RangeError('not a backup, or damaged (expected a tar archive of plain files)');
  return { name: text(0, MAX_NAME_BYTES), bytes: size };
}

function checksum(block: Uint8Array): number {
  return block.reduce((sum, byte) => sum + byte, 0);
}
