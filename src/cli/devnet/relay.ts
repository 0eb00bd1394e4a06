// A TCP relay: what connects here reaches another address, later by a delay, or not at all while the relay is cut. With it
// a development network loses and slows links without root.
import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net';

export interface RelayOptions {
  readonly listenIp: string;
  /** The IP that the target sees. */
  readonly fromIp: string;
  /** Port on 127.0.0.1; undefined while nothing listens there, and connections are closed at once. */
  readonly targetPort: () => number | undefined;
  /** At once; default 16. */
  readonly maxConnections?: number;
}

/** A node opens a few at most: `p2p_max_conns_per_peer`. */
const MAX_CONNECTIONS = 16;
/** Of one connection and direction; when so much waits, its sender waits too. */
export const MAX_HELD_BYTES = 1024 * 1024;

export class Relay {
  private readonly options: RelayOptions;
  private readonly sockets = new Set<Socket>();
  private readonly server: Server;
  private isCut = false;
  private delayMs = 0;

  constructor(options: RelayOptions) {
    this.options = options;
    this.server = createServer({ allowHalfOpen: true, noDelay: true }, (client) => this.accept(client));
    this.server.maxConnections = options.maxConnections ?? MAX_CONNECTIONS;
  }

  /** Resolves with the port. Rejects with the error of the system. */
  async listen(): Promise<number> {
    this.server.listen(0, this.options.listenIp);
    await once(this.server, 'listening');
    return (this.server.address() as AddressInfo).port;
  }

  /** Resets what is open, and whatever connects until it is restored. */
  setCut(isCut: boolean): void {
    this.isCut = isCut;
    if (isCut) this.endAll();
  }

  /** Of what is read from now on, in each direction. */
  setDelay(delayMs: number): void {
    this.delayMs = delayMs;
  }

  stop(): void {
    this.endAll();
    this.server.close();
  }

  private endAll(): void {
    for (const socket of this.sockets) socket.resetAndDestroy();
  }

  private accept(client: Socket): void {
    const port = this.options.targetPort();
    if (this.isCut || port === undefined) {
      client.resetAndDestroy();
      return;
    }
    const localAddress = this.options.fromIp;
    const target = connect({ host: '127.0.0.1', port, localAddress, allowHalfOpen: true, noDelay: true });
    this.carry(client, target);
    this.carry(target, client);
  }

  private carry(from: Socket, to: Socket): void {
    this.sockets.add(from);
    // The error itself follows as a close.
    from.on('error', () => {});
    from.once('close', (hadError) => {
      this.sockets.delete(from);
      if (hadError || !from.readableEnded) to.resetAndDestroy();
    });
    carryLater(from, to, () => this.delayMs);
  }
}

/** Copies in order, each piece after the delay; the end too. */
function carryLater(from: Socket, to: Socket, delayMs: () => number): void {
  const held: { readonly dueMs: number; readonly bytes: Buffer | undefined }[] = [];
  let heldBytes = 0;
  let timer: NodeJS.Timeout | undefined;

  const hold = (bytes: Buffer | undefined): void => {
    const dueMs = Math.max(held.at(-1)?.dueMs ?? 0, performance.now() + delayMs());
    held.push({ dueMs, bytes });
    heldBytes += bytes?.byteLength ?? 0;
    if (heldBytes > MAX_HELD_BYTES) from.pause();
    sendDue();
  };
  const sendDue = (): void => {
    clearTimeout(timer);
    while (held[0] !== undefined && held[0].dueMs <= performance.now() && !to.writableNeedDrain) {
      const { bytes } = held[0];
      held.shift();
      if (bytes === undefined) to.end();
      else to.write(bytes);
      heldBytes -= bytes?.byteLength ?? 0;
    }
    if (heldBytes <= MAX_HELD_BYTES) from.resume();
    const [next] = held;
    // A full target calls again when it drains.
    if (next !== undefined && !to.writableNeedDrain && !to.destroyed)
      timer = setTimeout(sendDue, Math.max(1, next.dueMs - performance.now()));
  };
  from.on('data', hold);
  from.once('end', () => hold(undefined));
  to.on('drain', sendDue);
  to.once('close', () => clearTimeout(timer));
}
