// Tracks which sockets still have a response to send. Requests can be pipelined; an upgrade among them must not take
// over the socket before all earlier responses are sent.
import { type IncomingMessage, ServerResponse } from 'node:http';
import type { Socket } from 'node:net';

const owned = new WeakSet<Socket>();

/** For `createServer`: Node uses this class also for the responses that it sends on its own. */
export class OwningResponse<Request extends IncomingMessage = IncomingMessage> extends ServerResponse<Request> {
  /** Whether a response on this socket is not sent yet. */
  static owns(socket: Socket): boolean {
    return owned.has(socket);
  }

  override assignSocket(socket: Socket): void {
    owned.add(socket);
    super.assignSocket(socket);
  }

  override detachSocket(socket: Socket): void {
    super.detachSocket(socket);
    owned.delete(socket);
  }
}
