// Stands for a DataHub URL where only equality counts, in a hundred bytes at most.
import { hash as digest } from 'node:crypto';

/** Most URLs are shorter; the key of a longer one is a digest. */
const MAX_CHARS = 64;

/** Equal for URLs that differ in trailing slashes only, which clients add and remove; empty for no URL. */
export function urlKey(url: string): string {
  let end = url.length;
  while (url.endsWith('/', end)) end -= 1;
  const plain = url.slice(0, end);
  return plain.length <= MAX_CHARS ? plain : digest('sha256', plain, 'base64');
}
