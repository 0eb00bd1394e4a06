// IP addresses as numbers, read fast: the gate and every lookup parse one. Regular expressions and BigInt would cost
// more than the lookup.

/**
 * IPv4 as 32 bits; IPv6 as eight 16-bit groups, each a character of a string. An IPv4-mapped IPv6 address is the IPv4
 * address.
 */
export type IpAddress = { readonly family: 4; readonly bits: number } | { readonly family: 6; readonly groups: string };

const ZERO = 48;
const COLON = 58;
const DOT = 46;

/** undefined for anything but an IPv4 or IPv6 address in its usual text form, without zone, port or prefix. */
export function parseIp(text: string): IpAddress | undefined {
  if (text.length > 45) return undefined;
  if (text.includes(':')) return parseV6(text);
  const bits = parseV4(text, 0);
  return bits < 0 ? undefined : { family: 4, bits };
}

/** 32 bits, or -1. Leading zeros are refused: some read them as octal. */
function parseV4(text: string, from: number): number {
  let bits = 0;
  let part = 0;
  let digits = 0;
  let dots = 0;
  for (let i = from; i < text.length; i += 1) {
    const code = text.charCodeAt(i);
    if (code === DOT) {
      if (digits === 0 || dots === 3) return -1;
      bits = bits * 256 + part;
      part = 0;
      digits = 0;
      dots += 1;
      continue;
    }
    const digit = code - ZERO;
    if (digit < 0 || digit > 9 || (digits > 0 && part === 0)) return -1;
    part = part * 10 + digit;
    digits += 1;
    if (part > 255) return -1;
  }
  return dots === 3 && digits > 0 ? bits * 256 + part : -1;
}

function hexDigit(code: number): number {
  if (code >= 48 && code <= 57) return code - 48;
  const lower = code | 32;
  return lower >= 97 && lower <= 102 ? lower - 87 : -1;
}

const groups = new Uint16Array(8);

function parseV6(text: string): IpAddress | undefined {
  let count = 0;
  let gapAt = -1;
  let i = 0;
  if (text.startsWith('::')) {
    gapAt = 0;
    i = 2;
  } else if (text.charCodeAt(0) === COLON) return undefined;
  while (i < text.length) {
    if (count === 8) return undefined;
    const end = text.indexOf(':', i);
    const stop = end < 0 ? text.length : end;
    if (text.indexOf('.', i) >= 0 && end < 0) {
      const bits = parseV4(text, i);
      if (bits < 0 || count > 6) return undefined;
      groups[count] = bits >>> 16;
      groups[count + 1] = bits & 0xffff;
      count += 2;
      break;
    }
    const value = parseGroup(text, i, stop);
    if (value < 0) return undefined;
    groups[count] = value;
    count += 1;
    if (end < 0) break;
    i = end + 1;
    if (text.charCodeAt(i) === COLON) {
      if (gapAt >= 0) return undefined;
      gapAt = count;
      i += 1;
    } else if (i === text.length) return undefined;
  }
  return finished(count, gapAt);
}

function parseGroup(text: string, from: number, to: number): number {
  if (to === from || to - from > 4) return -1;
  let value = 0;
  for (let i = from; i < to; i += 1) {
    const digit = hexDigit(text.charCodeAt(i));
    if (digit < 0) return -1;
    value = value * 16 + digit;
  }
  return value;
}

/** Puts the zeros into the gap; a gap stands for one group at least. */
function finished(count: number, gapAt: number): IpAddress | undefined {
  if (gapAt < 0 ? count !== 8 : count > 7) return undefined;
  let text = '';
  const zeros = 8 - count;
  for (let i = 0; i < 8; i += 1) {
    const isGap = gapAt >= 0 && i >= gapAt && i < gapAt + zeros;
    const from = gapAt >= 0 && i >= gapAt + zeros ? i - zeros : i;
    text += String.fromCharCode(isGap ? 0 : (groups[from] ?? 0));
  }
  return text.startsWith('\0\0\0\0\0\uffff')
    ? { family: 4, bits: text.charCodeAt(6) * 65_536 + text.charCodeAt(7) }
    : { family: 6, groups: text };
}

/** 127.0.0.0/8 and ::1. */
export function isLoopback(ip: IpAddress | undefined): boolean {
  if (ip === undefined) return false;
  return ip.family === 4 ? ip.bits >>> 24 === 127 : ip.groups === '\0\0\0\0\0\0\0\u0001';
}

/** IPv4 in dots; IPv6 as RFC 5952 has it: lower case, the longest run of two or more zero groups shortened. */
export function formatIp(ip: IpAddress): string {
  if (ip.family === 4) return [24, 16, 8, 0].map((shift) => (ip.bits >>> shift) & 255).join('.');
  // By code units: two groups may look like a surrogate pair, which iteration would take for one.
  const parts = ip.groups.split('').map((group) => group.charCodeAt(0).toString(16));
  const run = longestZeroRun(parts);
  if (run.length < 2) return parts.join(':');
  return `${parts.slice(0, run.at).join(':')}::${parts.slice(run.at + run.length).join(':')}`;
}

function longestZeroRun(parts: readonly string[]): { at: number; length: number } {
  let best = { at: 0, length: 0 };
  for (let at = 0; at < parts.length; at += 1) {
    let length = 0;
    while (parts[at + length] === '0') length += 1;
    if (length > best.length) best = { at, length };
    at += length;
  }
  return best;
}
