// Before our DataHub URL is told to others: does it answer, and may they use it? What is wrong is said once, in words, and stops nothing.

import type { DataHubProber, DataHubVerdict } from '../../ports/datahub-prober.ts';
import type { Logger } from '../../ports/log.ts';

/** A prober takes two seconds; this is for one that keeps no time. */
const DEADLINE_MS = 2500;

/** Resolves within 2.5 s with what was found; undefined without a URL, or once the signal is aborted. Never throws. */
export async function checkOwnDataHub(
  prober: DataHubProber,
  url: string,
  log: Logger,
  signal: AbortSignal,
): Promise<DataHubVerdict | undefined> {
  if (url === '' || signal.aborted) return undefined;
  const verdict = await inTime(prober, url, signal);
  if (signal.aborted) return undefined;
  const { reason, details } = verdict;
  if (verdict.outcome === 'alive') log.debug({ dataHubUrl: url, details }, 'our DataHub answers');
  else if (reason === 'private')
    log.warn(
      { dataHubUrl: url, details },
      'our DataHub URL leads to a private address: peers will not fetch from it; set asset_httpPublicAddress, or p2p_allow_private_datahubs on a network of one’s own',
    );
  else
    log.warn(
      { dataHubUrl: url, reason, details },
      'our DataHub does not answer from here: peers may not be able to fetch from us; check asset_httpPublicAddress and the asset service',
    );
  return verdict;
}

async function inTime(prober: DataHubProber, url: string, signal: AbortSignal): Promise<DataHubVerdict> {
  const late: DataHubVerdict = { outcome: 'dead', reason: 'timeout', details: 'no verdict in time' };
  const { promise, resolve } = Promise.withResolvers<DataHubVerdict>();
  const timer = setTimeout(resolve, DEADLINE_MS, late);
  const aborted = () => resolve({ outcome: 'postponed', reason: 'aborted', details: 'stopped' });
  signal.addEventListener('abort', aborted, { once: true });
  try {
    return await Promise.race([
      prober.probe(url, AbortSignal.any([signal, AbortSignal.timeout(DEADLINE_MS)])),
      promise,
    ]);
  } catch {
    return { outcome: 'dead', reason: 'unreachable', details: 'the check failed' };
  } finally {
    clearTimeout(timer);
    signal.removeEventListener('abort', aborted);
  }
}
