// Counts DataHub URLs of peers that are neither used nor shown, although the rest of their message is.
import type { Counter, Metrics } from '../../ports/metrics.ts';

export function omittedUrls(metrics: Metrics): Counter {
  return metrics.counter(
    'teranode_p2p_datahub_urls_omitted_total',
    'DataHub URLs left out of messages that were processed without them, because they may not be used, by topic',
    ['topic'],
  );
}
