// Records what failed at a DataHub's host under its name, for operators (`explain`). It has no consequences: whoever
// announces a URL names the host, so a host that lacks what an attacker claims it has would be penalized for the
// attacker.
import type { Hash } from '../../domain/ids.ts';
import type { BanReason, OffenceRecorder } from '../../domain/offence.ts';
import { plainHost } from '../../wire/public-address.ts';
import { NOTED_RULE } from './reasons.ts';

/** `url` is where our own validation fetched, or was directed to; nothing is recorded when it names no host. */
export function noteAtHost(
  offences: OffenceRecorder,
  url: string,
  reason: BanReason,
  facts: { readonly topic: string; readonly hash: Hash | undefined },
): void {
  const host = URL.canParse(url) ? plainHost(new URL(url).hostname) : '';
  if (host !== '') offences.addScore(host, reason, { role: 'datahub', rule: NOTED_RULE, ...facts });
}
