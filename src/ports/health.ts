// The result of one health check, as readiness reports and HTTP show it.

/** A dependency of readiness. */
export interface HealthCheck {
  readonly name: string;
  readonly ok: boolean;
  /** One line for an operator. */
  readonly details: string;
  /** Duration of the check. */
  readonly tookMs: number;
  /** Unix ms of its end. */
  readonly atMs: number;
}
