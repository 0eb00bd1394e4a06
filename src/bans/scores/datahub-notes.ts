// What failed at a DataHub's host, noted under its name for the operator to look at (`explain`), and deciding nothing: whoever announces names the
// host, so one that does not have what an attacker claims it has would pay for him.

import type { Hash } from '../../domain/ids.ts';
import type { BanReason } from '../../ports/ban-store.ts';
import { plainHost } from '../../wire/public-address.ts';
import type { PeerBanManager } from './peer-ban-manager.ts';
import { NOTED_RULE } from './reasons.ts';

/** `url` is where our own validation fetched, or was sent to; nothing is noted when it names no host. */
export function noteAtHost(
  scores: Pick<PeerBanManager, 'addScore'>,
  url: string,
  reason: BanReason,
  facts: { readonly topic: string; readonly hash: Hash | undefined },
): void {
  const host = URL.canParse(url) ? plainHost(new URL(url).hostname) : '';
  if (host !== '') scores.addScore(host, reason, { role: 'datahub', rule: NOTED_RULE, ...facts });
}
