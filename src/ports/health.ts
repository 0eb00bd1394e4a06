// The result of one health check, as readiness, HTTP and their callers show it.

/** One thing that readiness depends on. */
export interface HealthCheck {
  readonly name: string;
  readonly ok: boolean;
  /** For a person, one line. */
  readonly details: string;
  /** How long it took to find out. */
  readonly tookMs: number;
  /** Unix ms at which it was found out. */
  readonly atMs: number;
}
