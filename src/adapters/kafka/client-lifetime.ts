// Ends Kafka clients at once. The library waits for answers, also while it connects; a broker that accepts connections
// and never answers must not delay a stop or the end of the process.
import { Admin, type Consumer, type MessagesStream, type Producer } from '@platformatic/kafka';
import { P2PError } from '../../lib/errors.ts';

type Client = Admin | Producer<Buffer, Buffer, Buffer, Buffer> | Consumer<Buffer, Buffer, Buffer, Buffer>;
type Stream = Pick<MessagesStream<Buffer, Buffer, Buffer, Buffer>, 'destroy' | 'connections' | 'on'>;

/** Does the work and ends the client. Rejects at once with TIMEOUT when the signal aborts. */
export async function withClient<C extends Client, T>(
  client: C,
  signal: AbortSignal,
  work: (client: C) => Promise<T>,
): Promise<T> {
  try {
    return await unlessAborted(signal, () => work(client));
  } finally {
    destroyClient(client);
  }
}

/**
 * Settles as the work does, or rejects with TIMEOUT when the signal aborts first; the work may go on, its result is
 * ignored.
 */
export async function unlessAborted<T>(signal: AbortSignal, work: () => Promise<T>): Promise<T> {
  let aborted: (() => void) | undefined;
  const end = new Promise<never>((_resolve, reject) => {
    aborted = () => reject(new P2PError('TIMEOUT', 'stopped before Kafka answered'));
    if (signal.aborted) aborted();
    else signal.addEventListener('abort', aborted, { once: true });
  });
  try {
    return await Promise.race([signal.aborted ? end : work(), end]);
  } finally {
    if (aborted !== undefined) signal.removeEventListener('abort', aborted);
  }
}

/** Ends a client and its stream without waiting; neither keeps the process alive. */
export function destroyClient(client: Client, stream?: Stream): void {
  const pools = stream === undefined ? [client.connections] : [client.connections, stream.connections];
  // A socket is undefined while its connection is being made, whatever the types say.
  const sockets = pools.flatMap((pool) => [...pool].flatMap(([, connection]) => connection.socket ?? []));
  // First the library's own close, which stops timers and fails waiting calls; a closed pool never opens again.
  const closing = client instanceof Admin ? client.close() : client.close(true);
  void closing.catch(() => {});
  for (const pool of pools) void pool.close().catch(() => {});
  stream?.on('error', () => {});
  stream?.destroy();
  for (const socket of sockets) socket.destroy();
}
