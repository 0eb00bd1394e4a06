// What an operator reads at the start about settings that change nothing, or leave the node without a part of its work.
import type { Logger } from '../ports/log.ts';
import { parseKafkaUrl } from '../settings/kafka-url.ts';
import type { LoadedSettings, Settings } from '../settings/load.ts';

export function logNotices(log: Logger, notices: LoadedSettings['notices'] | undefined): void {
  if (notices === undefined) return;
  const { withoutEffect, unknown } = notices;
  const harmless = withoutEffect.filter(({ isUnsafe }) => !isUnsafe);
  for (const { key, reason, isUnsafe } of withoutEffect)
    if (isUnsafe) log.warn({ key, reason }, 'setting without effect');
  if (harmless.length > 0) log.info({ settings: harmless }, 'settings without effect');
  for (const { key, nearest } of unknown)
    log.warn(nearest === undefined ? { key } : { key, nearest }, 'unknown setting');
}

const UNFOLLOWED =
  'blocks go to a Kafka broker and no blockchain service is named: the own chain stays where it is. ' +
  'Set blockchain_grpcAddress, or a memory:// URL in kafka_blocksConfig';

/**
 * Warns when nobody extends the chain of this node: the embedded chain follows the blocks of `memory://` only.
 * `hasOwnParts`: the caller brings a chain or a producer of blocks, and knows.
 */
export function logUnfollowedChain(log: Logger, settings: Settings, hasOwnParts: boolean): void {
  if (hasOwnParts || settings.blockchain_grpcAddress !== undefined) return;
  if (parseKafkaUrl(settings.kafka_blocksConfig).scheme === 'memory') return;
  log.warn({ key: 'kafka_blocksConfig', reason: UNFOLLOWED }, 'own chain follows no peer');
}
