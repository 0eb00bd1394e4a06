// Explains why a peer, an address or a DataHub host stands as it does: scores, offences, bans in force, bans withheld.
import type { BanEntry, BanKey, Explanation } from '../domain/ban.ts';
import type { PeerId } from '../domain/ids.ts';
import { citedRules } from '../domain/offences.ts';
import { P2PError } from '../lib/errors.ts';
import type { SeenAddresses } from './enforcement/seen-addresses.ts';
import { parseBanKey } from './list/ban-key.ts';
import type { BanList } from './list/ban-list.ts';
import type { PeerBanManager } from './scores/peer-ban-manager.ts';

export interface ExplanationSources {
  readonly list: BanList;
  readonly scores: PeerBanManager;
  readonly seen: SeenAddresses;
  readonly isWhitelisted: (peerId: PeerId) => boolean;
}

const MAX_HOST_CHARS = 260;
const MAX_SHOWN_CHARS = 128;

/** Throws INPUT_INVALID when the text names no IP, subnet, peer ID or DataHub host. */
export function explanation(text: string, { list, scores, seen, isWhitelisted }: ExplanationSources): Explanation {
  const { subject, key } = explainedSubject(text, (host) => scores.accountOf(host).offences.length > 0);
  const account = scores.accountOf(subject);
  const peerId = key?.kind === 'peer' ? key.key : undefined;
  return {
    subject,
    ...account,
    rules: citedRules(account.offences),
    inForce: bansOf(subject, key, list),
    isWhitelisted: peerId !== undefined && isWhitelisted(peerId),
    addressesSeen: peerId === undefined ? [] : seen.addressesOf(peerId),
  };
}

/** The canonical subject, with its key unless it is a DataHub host. Throws INPUT_INVALID. */
function explainedSubject(
  text: string,
  isKnown: (host: string) => boolean,
): { readonly subject: string; readonly key: BanKey | undefined } {
  const key = parseBanKey(text);
  return { subject: key?.key ?? checkedHost(text, isKnown), key };
}

/** The ban of the subject, those that it caused, and the ban that covers it. */
function bansOf(subject: string, key: BanKey | undefined, list: BanList): BanEntry[] {
  const all = list.entries();
  const own = all.filter((entry) => entry.key === subject || entry.causedBy === subject);
  const covering = key === undefined ? undefined : list.banOf(key);
  return own.some((entry) => entry.key === covering?.key)
    ? own
    : [...own, ...all.filter((entry) => entry.key === covering?.key)];
}

/**
 * A DataHub's host, with or without a port. A name without a dot may be a mistyped peer ID, unless offences are
 * recorded for it.
 */
function checkedHost(text: string, isKnown: (host: string) => boolean): string {
  const host = text
    .trim()
    .toLowerCase()
    .replace(/:\d{1,5}$/, '');
  const isName = host.length <= MAX_HOST_CHARS && /^[a-z0-9][a-z0-9._-]*$/.test(host);
  if (isName && (host.includes('.') || isKnown(host))) return host;
  const given = text.slice(0, MAX_SHOWN_CHARS);
  const expected = 'an IP, a subnet, a peer ID such as 12D3Koo…, or the host of a DataHub';
  throw new P2PError('INPUT_INVALID', `invalid subject ${JSON.stringify(given)} (expected ${expected})`, {
    details: { given },
  });
}
