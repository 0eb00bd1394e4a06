// A TCP proxy that counts the connections and the pieces of data that pass through it.
import { connect, createServer, type Socket } from 'node:net';

export interface CountingProxy {
  /** `127.0.0.1:port`. */
  readonly address: string;
  /** Connections accepted since the start. */
  accepted(): number;
  /** Connections that are open now. */
  open(): number;
  /** Pieces of data from clients. */
  requests(): number;
  stop(): Promise<void>;
}

/** In front of a server at `127.0.0.1:port`. */
export async function countingProxy(target: string): Promise<CountingProxy> {
  const port = Number(target.split(':').at(-1));
  const sockets = new Set<Socket>();
  let accepted = 0;
  let requests = 0;
  const server = createServer((client) => {
    accepted += 1;
    sockets.add(client);
    const upstream = connect(port, '127.0.0.1');
    client.on('data', () => {
      requests += 1;
    });
    for (const [from, to] of [
      [client, upstream],
      [upstream, client],
    ] as const) {
      from.on('error', () => to.destroy());
      from.once('close', () => to.destroy());
      from.pipe(to);
    }
    client.once('close', () => sockets.delete(client));
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const address = server.address();
  if (address === null || typeof address === 'string') throw new Error('no port');
  return {
    address: `127.0.0.1:${address.port}`,
    accepted: () => accepted,
    open: () => sockets.size,
    requests: () => requests,
    stop: async () => {
      for (const socket of sockets) socket.destroy();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}
