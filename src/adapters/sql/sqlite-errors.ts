// What SQLite says, as the store's two errors: what may pass, and what will not. By result code, never by text.
import { P2PError } from '../../lib/errors.ts';

/** Primary result codes (sqlite.org/rescode.html) of trouble that may pass. */
const PASSING = new Map<number, string>([
  [5, 'BUSY'],
  [6, 'LOCKED'],
  [7, 'NOMEM'],
  [10, 'IOERR'],
  [13, 'FULL'],
  [15, 'PROTOCOL'],
]);

/** Errors of the file system, on the way to the file, that may pass. */
const PASSING_SYSTEM = new Set(['EBUSY', 'EMFILE', 'ENFILE', 'ENOSPC', 'EDQUOT', 'EIO', 'EAGAIN']);

/** Extended result codes carry the primary one in their low byte. */
const PRIMARY_MASK = 0xff;

/** STORE_UNAVAILABLE or STORE_FAILED, with the error underneath as its cause; a P2PError stays what it is. */
export function sqliteStoreError(error: unknown): P2PError {
  if (error instanceof P2PError) return error;
  const { code, errcode } = (error instanceof Error ? error : {}) as { code?: unknown; errcode?: unknown };
  const passing = typeof errcode === 'number' ? PASSING.get(errcode & PRIMARY_MASK) : undefined;
  const details = { sqlite: errcode, system: code };
  if (passing !== undefined || (typeof code === 'string' && PASSING_SYSTEM.has(code))) {
    return new P2PError('STORE_UNAVAILABLE', `the store of bans is away: ${passing ?? String(code)}`, {
      details,
      cause: error,
    });
  }
  return new P2PError('STORE_FAILED', 'the store of bans cannot be used', { details, cause: error });
}
