// Traces from the settings. OpenTelemetry is loaded when `tracing_enabled` is on; off, there is nothing.
import type { PeerId } from '../domain/ids.ts';
import { buildVersion } from '../lib/version.ts';
import type { Traces } from '../ports/traces.ts';
import type { Settings } from '../settings/load.ts';
import type { Core } from './core.ts';

export interface RunningTraces extends Traces {
  stop(): Promise<void>;
}

export async function createTraces(
  settings: Settings,
  { log, metrics, ownId }: Core & { readonly ownId: PeerId },
): Promise<RunningTraces | undefined> {
  if (!settings.tracing_enabled) return undefined;
  const { OtelTraces } = await import('../adapters/traces/otel-traces.ts');
  return new OtelTraces(
    { log, metrics },
    {
      collectorUrl: settings.tracing_collector_url,
      subtreeRate: settings.tracing_SampleRate,
      peerId: ownId,
      clientName: settings.clientName,
      version: buildVersion().version,
    },
  );
}
