// Work that goes in and should come out, counted on both sides, so that somebody else can see when it stands still.

/** Since the start; what has begun and not ended is under way. */
export interface Progress {
  readonly begun: number;
  /** However it ended. */
  readonly ended: number;
}
