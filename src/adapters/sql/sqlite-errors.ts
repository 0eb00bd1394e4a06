// Converts SQLite's errors to the store's two errors: temporary or permanent. By result code, never by text.
import { P2PError } from '../../lib/errors.ts';

/** Primary result codes (sqlite.org/rescode.html) of temporary errors. */
const PASSING = new Map<number, string>([
  [5, 'BUSY'],
  [6, 'LOCKED'],
  [7, 'NOMEM'],
  [10, 'IOERR'],
  [13, 'FULL'],
  [15, 'PROTOCOL'],
]);

/** Temporary errors of the file system. */
const PASSING_SYSTEM = new Set(['EBUSY', 'EMFILE', 'ENFILE', 'ENOSPC', 'EDQUOT', 'EIO', 'EAGAIN']);

/** Extended result codes contain the primary code in their low byte. */
const PRIMARY_MASK = 0xff;

/** STORE_UNAVAILABLE or STORE_FAILED, with the original error as its cause; a P2PError is returned unchanged. */
export function sqliteStoreError(error: unknown): P2PError {
  if (error instanceof P2PError) return error;
  const { code, errcode } = (error instanceof Error ? error : {}) as { code?: unknown; errcode?: unknown };
  const passing = typeof errcode === 'number' ? PASSING.get(errcode & PRIMARY_MASK) : undefined;
  const details = { sqlite: errcode, system: code };
  if (passing !== undefined || (typeof code === 'string' && PASSING_SYSTEM.has(code))) {
    return new P2PError('STORE_UNAVAILABLE', `ban store unavailable: ${passing ?? String(code)}`, {
      details,
      cause: error,
    });
  }
  return new P2PError('STORE_FAILED', 'ban store cannot be used', { details, cause: error });
}
