// How full the memories of the rules are, for whoever counts.

/** Told once of each memory: its kind, its size when asked, and its bound. */
export type WatchSize = (kind: string, size: () => number, bound: number) => void;

export const unwatched: WatchSize = () => {};
