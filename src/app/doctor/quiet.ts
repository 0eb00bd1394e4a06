// Log and metrics of nodes that run for a check only: nobody reads them.
import type { Logger } from '../../ports/log.ts';
import type { Metrics } from '../../ports/metrics.ts';

const nothing = () => {};

export const QUIET_LOG: Logger = { trace: nothing, debug: nothing, info: nothing, warn: nothing, error: nothing };

export const QUIET_METRICS: Metrics = {
  counter: () => ({ add: nothing }),
  gauge: nothing,
  gauges: nothing,
  histogram: () => ({ observe: nothing }),
};
