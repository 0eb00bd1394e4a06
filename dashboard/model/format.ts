// Values as people read them. Absent values are a dash.

export const NONE = '–';
const SHORT_ID_CHARS = 6;

export function shortHash(hash: string | undefined): string {
  if (hash === undefined || hash === '') return NONE;
  // Hashes of blocks begin with zeros.
  return hash.length <= 16 ? hash : `${hash.slice(0, 4)}…${hash.slice(-8)}`;
}

export function shortId(peerId: string | undefined): string {
  if (peerId === undefined || peerId === '') return NONE;
  return peerId.length <= 14 ? peerId : `…${peerId.slice(-SHORT_ID_CHARS)}`;
}

const MAX_VERSION_CHARS = 32;

/** Of a user agent such as teranode/bitcoin/v0.9.1: the last part. */
export function shortVersion(agent: string): string {
  const part = agent.split('/').findLast((each) => each !== '') ?? agent;
  return part.length <= MAX_VERSION_CHARS ? part : `${part.slice(0, MAX_VERSION_CHARS)}…`;
}

export function countText(count: number | undefined): string {
  return count === undefined ? NONE : count.toLocaleString('en-US');
}

const UNITS = ['B', 'kB', 'MB', 'GB', 'TB'];

export function bytesText(bytes: number | undefined): string {
  if (bytes === undefined) return NONE;
  let value = bytes;
  let unit = 0;
  while (value >= 1000 && unit < UNITS.length - 1) {
    value /= 1000;
    unit += 1;
  }
  return `${unit === 0 || value >= 100 ? Math.round(value) : value.toFixed(1)} ${UNITS[unit]}`;
}

export function percentText(share: number | undefined): string {
  return share === undefined ? NONE : `${Math.round(share * 100)} %`;
}

export function msText(ms: number | undefined): string {
  if (ms === undefined) return NONE;
  return ms < 10 ? `${ms.toFixed(1)} ms` : ms < 10_000 ? `${Math.round(ms)} ms` : durationText(ms);
}

/** In the two largest units: 2 h 5 min. */
export function durationText(ms: number): string {
  const s = Math.max(0, Math.floor(ms / 1000));
  const parts: readonly [number, string][] = [
    [Math.floor(s / 86_400), 'd'],
    [Math.floor(s / 3600) % 24, 'h'],
    [Math.floor(s / 60) % 60, 'min'],
    [s % 60, 's'],
  ];
  const first = parts.findIndex(([count]) => count > 0);
  if (first < 0) return '0 s';
  return parts
    .slice(first, first + 2)
    .filter(([count]) => count > 0)
    .map(([count, unit]) => `${count} ${unit}`)
    .join(' ');
}

export function agoText(atMs: number | undefined, nowMs: number): string {
  return atMs === undefined ? NONE : `${durationText(nowMs - atMs)} ago`;
}

/** Local time of day. */
export function timeText(atMs: number | undefined): string {
  return atMs === undefined ? NONE : new Date(atMs).toTimeString().slice(0, 8);
}

/** Local date and time. */
export function dateText(atMs: number | undefined): string {
  if (atMs === undefined) return NONE;
  const at = new Date(atMs);
  const two = (value: number) => String(value).padStart(2, '0');
  return `${at.getFullYear()}-${two(at.getMonth() + 1)}-${two(at.getDate())} ${timeText(atMs)}`;
}
