// A ban and an offence, as tests of stores put them in.

import type { BanEntry } from '../../src/domain/ban.ts';
import type { Hash, PeerId } from '../../src/domain/ids.ts';
import type { Offence } from '../../src/domain/offence.ts';

/** A moment that no interval divides. */
export const T0 = 1_700_000_012_345;
const DAY_MS = 24 * 60 * 60_000;
export const PEER = '12D3KooWEHp2B8GyFZp7jVUoUZ5MnL7yqxpdrbfXqFhJ1Qmw3fRy' as PeerId;

export function entry(change: Partial<BanEntry> = {}): BanEntry {
  return {
    key: '203.0.113.7',
    kind: 'address',
    untilMs: T0 + DAY_MS,
    createdAtMs: T0,
    reason: 'spam',
    evidence: 'rule too_many, topic subtree',
    source: 'automatic',
    causedBy: PEER,
    ...change,
  };
}

export function offence(change: Partial<Offence> = {}): Offence {
  return {
    subject: PEER,
    role: 'author',
    reason: 'invalid_block',
    points: 10,
    rule: 'proof_of_work',
    topic: 'teranode/bitcoin/1.0.0/mainnet-block',
    hash: 'ab'.repeat(32) as Hash,
    atMs: T0,
    ...change,
  };
}
