// Which sockets a response still owns. Requests may be sent one upon the other; an upgrade among them cannot have the socket before every answer
// in front of it is out.
import { type IncomingMessage, ServerResponse } from 'node:http';
import type { Socket } from 'node:net';

const owned = new WeakSet<Socket>();

/** For `createServer`: Node makes these answers too that it gives by itself. */
export class OwningResponse<Request extends IncomingMessage = IncomingMessage> extends ServerResponse<Request> {
  /** Whether an answer on this socket is not out yet. */
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
