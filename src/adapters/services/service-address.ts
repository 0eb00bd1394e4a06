// Converts the address of a service, as Teranode's settings write it, to the target that grpc-js dials.
import { P2PError } from '../../lib/errors.ts';
import { dialAddress } from '../../settings/types.ts';

export interface ServiceAddress {
  /** `dns:///name:port`: the name is resolved again after each lost connection, in case the service has moved. */
  readonly target: string;
  /** Name or IP without brackets, which TLS compares with the certificate. */
  readonly host: string;
}

/** From `host:port`, `k8s:///name:port` (which is DNS here) or `http://host:port`. Throws ADDRESS_INVALID. */
export function serviceAddress(address: string): ServiceAddress {
  const hostPort = address.replace(/^(?:k8s:\/\/\/|https?:\/\/)/, '');
  const at = hostPort.lastIndexOf(':');
  if (dialAddress.parse(address) === undefined || Number(hostPort.slice(at + 1)) > 65_535) {
    throw new P2PError('ADDRESS_INVALID', `invalid service address "${address}" (expected ${dialAddress.expects})`);
  }
  return { target: `dns:///${hostPort}`, host: hostPort.slice(0, at).replace(/^\[(.*)\]$/, '$1') };
}
