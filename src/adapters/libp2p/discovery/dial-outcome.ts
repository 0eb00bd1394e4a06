// Tells a dial that may work later from a hopeless one, by the error's name and code, never by its text.
import type { DialOutcome } from './dialer.ts';

/** Names of libp2p errors after which the same address cannot work until something changes. */
const HOPELESS = new Set(['InvalidMultiaddrError', 'InvalidPeerIdError', 'NoValidAddressesError']);
const MAX_REASONS = 8;

/** Names and codes of an error and its causes, up to a limit. */
function names(error: unknown, depth = 0): string[] {
  if (!(error instanceof Error) || depth > 4) return [];
  const code = 'code' in error && typeof error.code === 'string' ? [error.code] : [];
  const inner =
    error instanceof AggregateError ? error.errors.slice(0, MAX_REASONS).flatMap((e) => names(e, depth + 1)) : [];
  return [error.name, ...code, ...inner, ...names(error.cause, depth + 1)];
}

export function dialOutcome(error: unknown): { outcome: DialOutcome; reason: string } {
  const all = names(error);
  const outcome = all.some((name) => HOPELESS.has(name)) ? 'hopeless' : 'failed';
  return { outcome, reason: [...new Set(all)].slice(0, MAX_REASONS).join(' ') };
}
