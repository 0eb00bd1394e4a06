// What PostgreSQL and its client say, as the store's two errors: what may pass, and what will not. By SQLSTATE and system code, never by text.
import { DatabaseError } from 'pg';
import { P2PError } from '../../lib/errors.ts';

/**
 * Beginnings of SQLSTATEs (PostgreSQL, appendix A) that may pass: connection lost, transaction rolled back, resources short, in use or
 * shutting down, timed out in or before a statement, read-only while a standby takes over, I/O.
 */
const PASSING_STATES = ['08', '40', '53', '55', '57', '25P03', '25006', '58030'];

/** Codes of Node's own that no waiting cures: an address that is none, a certificate that does not fit. */
const LASTING_CODES = /^(ERR_INVALID|ERR_TLS|ERR_SSL|CERT_|UNABLE_TO_|DEPTH_ZERO_|SELF_SIGNED_)/;

/** STORE_UNAVAILABLE or STORE_FAILED, with the error underneath as its cause; a P2PError stays what it is. */
export function postgresStoreError(error: unknown): P2PError {
  if (error instanceof P2PError) return error;
  const code = codeOf(error);
  const details = { code };
  if (isPassing(error, code)) {
    const why = code ?? 'no answer';
    return new P2PError('STORE_UNAVAILABLE', `PostgreSQL, the store of bans, is away: ${why}`, {
      details,
      cause: error,
    });
  }
  return new P2PError('STORE_FAILED', `PostgreSQL refuses the store of bans: ${code ?? 'unknown error'}`, {
    details,
    cause: error,
  });
}

/** The client's own errors (connection ended, connection timed out) carry no code; all of them are about the connection. */
function isPassing(error: unknown, code: string | undefined): boolean {
  if (error instanceof DatabaseError) return PASSING_STATES.some((state) => code?.startsWith(state));
  if (error instanceof TypeError || error instanceof RangeError || !(error instanceof Error)) return false;
  return code === undefined || !LASTING_CODES.test(code);
}

function codeOf(error: unknown): string | undefined {
  if (!(error instanceof Error) || !('code' in error)) return undefined;
  return typeof error.code === 'string' ? error.code : undefined;
}
