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

/**
 * V8 keeps a file with one character beyond Latin-1 in two bytes per character: 4 MB more at rest. Lines stay the same,
 * as source maps need them.
 */
export function escapedBeyondLatin1(code: string, file: string): string {
  // An escape after a backslash would be another text, and in a raw template it would be no escape.
  if (/\\[^\0-\xff]|\.raw`[^`]*[^\0-\xff]/.test(code)) throw new Error(`cannot escape ${file}`);
  return code.replace(/[^\0-\xff]/g, (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`);
}
