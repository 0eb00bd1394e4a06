// A broker that accepts every connection and never says a word, as one that hangs does.
import { createServer, type Socket } from 'node:net';

export interface SilentBroker {
  /** `127.0.0.1:port`. */
  readonly address: string;
  /** Connections that are open now. */
  connections(): number;
  stop(): Promise<void>;
}

/** With `drops` it closes each connection, as a proxy with nothing behind it does. */
export async function silentBroker(options: { readonly drops?: boolean } = {}): Promise<SilentBroker> {
  const sockets = new Set<Socket>();
  const server = createServer((socket) => {
    sockets.add(socket);
    socket.on('error', () => {});
    socket.once('close', () => sockets.delete(socket));
    if (options.drops === true) socket.end();
    else socket.resume();
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const address = server.address();
  if (address === null || typeof address === 'string') throw new Error('no port');
  return {
    address: `127.0.0.1:${address.port}`,
    connections: () => sockets.size,
    stop: async () => {
      for (const socket of sockets) socket.destroy();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}
