// Addresses of services as Teranode's settings write them, to what grpc-js dials.
import { P2PError } from '../../lib/errors.ts';
import { dialAddress } from '../../settings/types.ts';

export interface DialTarget {
  /** `dns:///name:port`: resolved again after each lost connection, so that a service that moved is found. */
  readonly target: string;
  /** Name or IP without brackets, for what TLS compares. */
  readonly host: string;
}

/** From `host:port`, `k8s:///name:port` (which is DNS here) or `http://host:port`. Throws ADDRESS_INVALID. */
export function dialTarget(address: string): DialTarget {
  const hostPort = address.replace(/^(?:k8s:\/\/\/|https?:\/\/)/, '');
  const at = hostPort.lastIndexOf(':');
  if (dialAddress.parse(address) === undefined || Number(hostPort.slice(at + 1)) > 65_535) {
    throw new P2PError('ADDRESS_INVALID', `the address of a service is ${dialAddress.expects}: ${address}`);
  }
  return { target: `dns:///${hostPort}`, host: hostPort.slice(0, at).replace(/^\[(.*)\]$/, '$1') };
}
