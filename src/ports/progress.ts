// Work counted at its begin and its end, so that liveness can see when it stops.

/** Counted since the start of the process. */
export interface Progress {
  readonly begun: number;
  /** With any outcome. */
  readonly ended: number;
}
