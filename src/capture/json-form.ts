// JSON with bigint and undefined, for records of a capture. Decoding takes any bytes: it returns undefined for what is
// not such JSON.

/** We never write deeper values. */
const MAX_DEPTH = 24;
const BIGINT = /^-?\d{1,80}$/;

export function toJson(value: unknown): string {
  return JSON.stringify(tagged(value));
}

/** undefined when the text is not JSON, or too deep. */
export function fromJson(text: string): { readonly value: unknown } | undefined {
  try {
    return { value: untagged(JSON.parse(text), 0) };
  } catch {
    return undefined;
  }
}

function tagged(value: unknown): unknown {
  if (typeof value === 'bigint') return { $n: String(value) };
  if (value === undefined) return { $u: 1 };
  if (Array.isArray(value)) return value.map(tagged);
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(Object.entries(value).map(([key, each]) => [key, tagged(each)]));
}

function untagged(value: unknown, depth: number): unknown {
  if (depth > MAX_DEPTH) throw new RangeError('too deep');
  if (Array.isArray(value)) return value.map((each) => untagged(each, depth + 1));
  if (typeof value !== 'object' || value === null) return value;
  if ('$u' in value) return undefined;
  if ('$n' in value) {
    if (typeof value.$n !== 'string' || !BIGINT.test(value.$n)) throw new TypeError('invalid bigint');
    return BigInt(value.$n);
  }
  // fromEntries defines own properties, whatever their names are.
  return Object.fromEntries(Object.entries(value).map(([key, each]) => [key, untagged(each, depth + 1)]));
}
