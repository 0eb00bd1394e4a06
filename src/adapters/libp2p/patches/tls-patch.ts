// What other parts know of TLS on the socket (tls-socket.ts) without loading the libraries of TLS.
import type { Socket } from 'node:net';
import type { MessageStream } from '@libp2p/interface';
import type { Patch } from './report.ts';

export const TLS_PATCH: Patch = {
  library: '@libp2p/tls',
  version: '3.1.10',
  effect: 'TLS runs over a JavaScript stream, at more CPU per message',
};

/** TCP connection -> what is sent and received over it since it is secured. */
const secured = new WeakMap<object, { readonly stream: MessageStream; readonly socket: Socket }>();

/** The stream that bytes go through instead of the TCP connection, and the socket beneath; undefined where none does. */
export function securedOnSocket(tcp: object): ReturnType<typeof secured.get> {
  return secured.get(tcp);
}

export function setSecured(tcp: object, stream: MessageStream, socket: Socket): void {
  secured.set(tcp, { stream, socket });
}
