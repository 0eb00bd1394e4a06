// What the bundle of the package and that of the checkout have in common.

/**
 * Stay as they are: what few starts load, and what reads files of its own package (native code, WebAssembly, .proto).
 */
export const LOADED_ON_DEMAND = [
  '@fastify/swagger',
  '@grpc/reflection',
  '@libp2p/upnp-nat',
  '@platformatic/kafka',
  'pg',
  'pino-pretty',
  'sodium-native',
];
