// A straight line through measured values, and how sure its slope is.

export interface Point {
  readonly atMs: number;
  readonly value: number;
}

export interface Slope {
  /** Per hour, with its standard error. */
  readonly perHour: number;
  readonly errorPerHour: number;
  /** Over the time measured: on the line, and at least, with 99 % confidence. */
  readonly growth: number;
  readonly leastGrowth: number;
  /** On the line, at the first point. */
  readonly start: number;
  readonly points: readonly Point[];
}

const HOUR_MS = 3_600_000;
/** Of the normal distribution, one-sided 99 %. */
const Z99 = 2.326;
const MIN_POINTS = 5;

/** Which of a window's values counts. */
export type Pick = 'least' | 'middle';

/** One value for each window. Windows are of equal length; those without a point are left out. */
export function windowValues(points: readonly Point[], windows: number, pick: Pick): Point[] {
  const [first] = points;
  const last = points.at(-1);
  if (first === undefined || last === undefined) return [];
  const lengthMs = (last.atMs - first.atMs + 1) / windows;
  const inWindows = Map.groupBy(points, ({ atMs }) => Math.floor((atMs - first.atMs) / lengthMs));
  return [...inWindows.values()].flatMap((each) => {
    const sorted = each.toSorted((a, b) => a.value - b.value);
    return sorted[pick === 'least' ? 0 : Math.floor(sorted.length / 2)] ?? [];
  });
}

/**
 * Least squares. Neighbouring values are not independent of each other, so the standard error is widened by their
 * autocorrelation. Throws RangeError for fewer than five points.
 */
export function slopeOf(points: readonly Point[]): Slope {
  const n = points.length;
  if (n < MIN_POINTS) throw new RangeError(`a slope needs ${MIN_POINTS} points, got ${n}: run for longer`);
  const t = points.map(({ atMs }) => atMs / HOUR_MS);
  const y = points.map(({ value }) => value);
  const [meanT, meanY] = [mean(t), mean(y)];
  const spread = sum(t.map((each) => (each - meanT) ** 2));
  const perHour = sum(t.map((each, i) => (each - meanT) * ((y[i] ?? 0) - meanY))) / spread;
  const rest = t.map((each, i) => (y[i] ?? 0) - meanY - perHour * (each - meanT));
  const squares = sum(rest.map((each) => each * each));
  const correlation = squares === 0 ? 0 : sum(rest.slice(1).map((each, i) => each * (rest[i] ?? 0))) / squares;
  const r = Math.min(0.9, Math.max(0, correlation));
  const errorPerHour = Math.sqrt((squares / (n - 2) / spread) * ((1 + r) / (1 - r)));
  const span = (t.at(-1) ?? 0) - (t[0] ?? 0);
  return {
    perHour,
    errorPerHour,
    growth: perHour * span,
    leastGrowth: (perHour - student99(n - 2) * errorPerHour) * span,
    start: meanY + perHour * ((t[0] ?? 0) - meanT),
    points,
  };
}

/** One-sided 99 % quantile of Student's distribution, by its expansion in the degrees of freedom. */
function student99(freedom: number): number {
  const [z, v] = [Z99, freedom];
  return z + (z ** 3 + z) / (4 * v) + (5 * z ** 5 + 16 * z ** 3 + 3 * z) / (96 * v ** 2);
}

function sum(values: readonly number[]): number {
  return values.reduce((total, each) => total + each, 0);
}

function mean(values: readonly number[]): number {
  return sum(values) / values.length;
}
