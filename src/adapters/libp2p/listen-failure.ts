// Why a node cannot listen, for people.
import { P2PError } from '../../lib/errors.ts';

/** The text of the library is advice about its own options, so a taken port is told without it. */
export function listenFailed(
  cause: unknown,
  { port, listenIps }: { readonly port: number; readonly listenIps: readonly string[] },
): P2PError {
  const isTaken = String(cause).includes('EADDRINUSE');
  const why = isTaken ? ', another program uses it: stop that one, or set another one (p2p_port, p2p_go_p2p_port)' : '';
  const details = { listen: listenIps };
  return new P2PError(
    'LISTEN_FAILED',
    `cannot listen on port ${port}${why}`,
    isTaken ? { details } : { cause, details },
  );
}
