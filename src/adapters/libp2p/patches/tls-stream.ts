// TLS over a stream, such as the cipher of a private network or a relay, as @libp2p/tls runs it, with the certificate
// that connections share (tls-context.ts). Written for @libp2p/tls 3.1.10. Can go when it shares certificates.
import { connect, TLSSocket } from 'node:tls';
import type { ConnectionEncrypter, MessageStream, SecureConnectionOptions, SecuredConnection } from '@libp2p/interface';
import type { TLSComponents } from '@libp2p/tls';
import { toMessageStream, toNodeDuplex } from '@libp2p/tls/utils';
import { SharedContext } from './tls-context.ts';
import { countersOf, type Muxers, secure, serverOptions, tlsOptions } from './tls-handshake.ts';

export function tlsOverStream(
  create: (components: TLSComponents) => ConnectionEncrypter,
): (components: TLSComponents) => ConnectionEncrypter {
  return (components) => {
    const encrypter = create(components);
    const context = new SharedContext(components.privateKey);
    const on =
      (isServer: boolean) =>
      async (connection: MessageStream, options: SecureConnectionOptions = {}): Promise<SecuredConnection> => {
        const secureContext = await context.get();
        options.signal?.throwIfAborted();
        const muxers: Muxers =
          options.skipStreamMuxerNegotiation === true ? new Map() : components.upgrader.getStreamMuxers();
        const duplex = toNodeDuplex(connection);
        const tls = isServer
          ? new TLSSocket(duplex, serverOptions(secureContext, muxers))
          : connect({ ...tlsOptions(secureContext, muxers), socket: duplex });
        duplex.on('error', (error) => tls.emit('error', error));
        const handshake = {
          ...{ connection, tls, muxers, counters: countersOf(encrypter, isServer) },
          secured: () => toMessageStream(connection, tls),
          abort: (error: Error) => {
            tls.destroy();
            connection.abort(error);
          },
        };
        return await secure(handshake, options);
      };
    encrypter.secureInbound = on(true);
    encrypter.secureOutbound = on(false);
    return encrypter;
  };
}
