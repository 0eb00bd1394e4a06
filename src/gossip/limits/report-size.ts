// How the limits report the size of what they remember, so that each memory has a gauge and a bound.

/** Called once per memory with its kind, a function that reads its size, and its bound. */
export type ReportSize = (kind: string, size: () => number, bound: number) => void;

export const unreported: ReportSize = () => {};
