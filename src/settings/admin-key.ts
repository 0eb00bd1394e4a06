// Which admin keys protect anything.

/** Header of HTTP, and metadata key of gRPC as in the Go service. */
export const KEY_HEADER = 'x-api-key';
/** A key travels in a header. */
export const HEADER_TEXT = /^[\x21-\x7e](?:[\x20-\x7e]*[\x21-\x7e])?$/;
export const MAX_KEY_CHARS = 1024;
export const MIN_ADMIN_KEY_CHARS = 16;

/** Values of published settings files and examples. */
const PLACEHOLDERS: ReadonlySet<string> = new Set([
  'testkey',
  'dummy-admin-key',
  'admin',
  'password',
  'changeme',
  'changemechangeme',
  'test-admin-key-1',
  '0123456789abcdef',
  '1234567890123456',
]);

/** A placeholder protects nothing, so it opens nothing: it counts as unset. */
export function isPlaceholderKey(key: string): boolean {
  return PLACEHOLDERS.has(key.toLowerCase());
}

export function isStrongKey(key: string): boolean {
  return key.length >= MIN_ADMIN_KEY_CHARS && !isPlaceholderKey(key);
}
