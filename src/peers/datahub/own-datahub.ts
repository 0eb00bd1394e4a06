// Checks our own DataHub URL before we announce it: does it answer, and may peers use it? A problem is logged once and
// stops nothing.

import { orAfter } from '../../lib/deadline.ts';
import type { DataHubProber, DataHubVerdict } from '../../ports/datahub-prober.ts';
import type { Logger } from '../../ports/log.ts';

/** A prober settles within two seconds; this is for one that does not. */
const DEADLINE_MS = 2500;

/** Resolves within 2.5 s with the result; undefined without a URL or when the signal is aborted. Never throws. */
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
  if (verdict.outcome === 'alive') log.debug({ dataHubUrl: url, details }, 'own DataHub answers');
  else if (reason === 'private')
    log.warn(
      { dataHubUrl: url, details },
      'own DataHub URL leads to a private address, peers will not fetch from it: set asset_httpPublicAddress, or p2p_allow_private_datahubs in a private network',
    );
  else
    log.warn(
      { dataHubUrl: url, reason, details },
      'own DataHub does not answer, peers may not be able to fetch from it: check asset_httpPublicAddress and the asset service',
    );
  return verdict;
}

async function inTime(prober: DataHubProber, url: string, signal: AbortSignal): Promise<DataHubVerdict> {
  const late: DataHubVerdict = { outcome: 'dead', reason: 'timeout', details: 'no result in time' };
  const { promise: aborted, resolve } = Promise.withResolvers<DataHubVerdict>();
  const onAbort = () => resolve({ outcome: 'postponed', reason: 'aborted', details: 'stopped' });
  signal.addEventListener('abort', onAbort, { once: true });
  const probe = prober.probe(url, AbortSignal.any([signal, AbortSignal.timeout(DEADLINE_MS)]));
  try {
    return await orAfter(Promise.race([probe, aborted]), DEADLINE_MS, late);
  } catch {
    return { outcome: 'dead', reason: 'unreachable', details: 'the check failed' };
  } finally {
    signal.removeEventListener('abort', onAbort);
  }
}
