// Converts errors of PostgreSQL and its client to the store's two errors: temporary or permanent. By SQLSTATE and
// system code, never by text.
import { DatabaseError } from 'pg';
import { P2PError } from '../../lib/errors.ts';

/**
 * Prefixes of SQLSTATEs (PostgreSQL, appendix A) of temporary errors: connection lost, transaction rolled back,
 * insufficient resources, in use or shutting down, timed out in or before a statement, read-only while a standby takes
 * over, I/O.
 */
const PASSING_STATES = ['08', '40', '53', '55', '57', '25P03', '25006', '58030'];

/** Node's codes of permanent errors: invalid addresses, certificates that do not match. */
const LASTING_CODES = /^(ERR_INVALID|ERR_TLS|ERR_SSL|CERT_|UNABLE_TO_|DEPTH_ZERO_|SELF_SIGNED_)/;

/** STORE_UNAVAILABLE or STORE_FAILED, with the original error as its cause; a P2PError is returned unchanged. */
export function postgresStoreError(error: unknown): P2PError {
  if (error instanceof P2PError) return error;
  const code = codeOf(error);
  const details = { code };
  if (isPassing(error, code)) {
    const why = code ?? 'no response';
    return new P2PError('STORE_UNAVAILABLE', `ban store in PostgreSQL unavailable: ${why}`, {
      details,
      cause: error,
    });
  }
  return new P2PError('STORE_FAILED', `ban store in PostgreSQL failed: ${code ?? 'unknown error'}`, {
    details,
    cause: error,
  });
}

/**
 * The client's own errors (connection ended, connection timed out) have no code; all of them concern the connection.
 */
function isPassing(error: unknown, code: string | undefined): boolean {
  if (error instanceof DatabaseError) return PASSING_STATES.some((state) => code?.startsWith(state));
  if (error instanceof TypeError || error instanceof RangeError || !(error instanceof Error)) return false;
  return code === undefined || !LASTING_CODES.test(code);
}

function codeOf(error: unknown): string | undefined {
  if (!(error instanceof Error) || !('code' in error)) return undefined;
  return typeof error.code === 'string' ? error.code : undefined;
}
