// TLS whose libraries are loaded by the first peer that speaks nothing else. They take ten megabytes, and one of them
// adds functions to the global Reflect.
import type { ConnectionEncrypter } from '@libp2p/interface';
import type { TLSComponents } from '@libp2p/tls';
import type { PatchReport } from '../patches/report.ts';

type Secure = ConnectionEncrypter['secureOutbound'];

/** As `tlsOnSocket(tls())`, or `tlsOverStream(tls())`. */
export async function loadTls(isOnSocket: boolean, report: PatchReport) {
  const { tls } = await import('@libp2p/tls');
  if (!isOnSocket) return (await import('../patches/tls-stream.ts')).tlsOverStream(tls());
  const { tlsOnSocket } = await import('../patches/tls-socket.ts');
  return tlsOnSocket(tls(), report);
}

export function tlsOnDemand(
  isOnSocket: boolean,
  report: PatchReport,
): (components: TLSComponents) => ConnectionEncrypter {
  return (components) => {
    let loading: Promise<ConnectionEncrypter> | undefined;
    const loaded = () => {
      loading ??= loadTls(isOnSocket, report).then((create) => create(components));
      return loading;
    };
    const secureOutbound: Secure = async (...args) => await (await loaded()).secureOutbound(...args);
    const secureInbound: Secure = async (...args) => await (await loaded()).secureInbound(...args);
    return { protocol: '/tls/1.0.0', secureInbound, secureOutbound } as ConnectionEncrypter;
  };
}
