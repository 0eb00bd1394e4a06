// `host:port` as it is bound, and how others reach it.

/** The same for a client on this machine: an address of all interfaces becomes loopback. */
export function reachableHere(bound: string): string {
  return bound.replace(/^(?:0\.0\.0\.0|\[::\])?:(?=\d+$)/, '127.0.0.1:');
}

/** The port of `host:port` or `:port`. */
export function portOf(address: string): number {
  return Number(address.slice(address.lastIndexOf(':') + 1));
}
