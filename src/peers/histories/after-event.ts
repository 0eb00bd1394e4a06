// What an experience changes in the history of a peer. Pure: a history in, a new one out.
import type { PeerId } from '../../domain/ids.ts';
import type { PeerEvent, PeerHistory } from '../../domain/peer-history.ts';
import { shownText } from '../../lib/shown-text.ts';
import {
  averageAfter,
  clampedReputation,
  NEUTRAL_REPUTATION,
  RECONSIDERED_REPUTATION,
  reputationOf,
} from './reputation.ts';

/** Characters of a catch-up error that are kept. */
export const MAX_ERROR_CHARS = 512;
const MAX_UINT64 = 2n ** 64n - 1n;

export interface EventTimes {
  /** Unix ms. */
  readonly nowMs: number;
  /** `p2p_full_storage_penalty_duration`. */
  readonly fullStoragePenaltyMs: number;
}

const NO_INTERACTIONS = {
  attempts: 0,
  successes: 0,
  failures: 0,
  malicious: 0,
  lastAttemptMs: undefined,
  lastSuccessMs: undefined,
  lastFailureMs: undefined,
  reputation: NEUTRAL_REPUTATION,
  avgResponseMs: 0,
  catchupAttempts: 0,
  catchupSuccesses: 0,
  catchupFailures: 0,
  lastCatchupError: '',
  lastCatchupErrorMs: undefined,
  syncAttempts: 0,
  lastSyncAttemptMs: undefined,
  resets: 0,
  lastResetMs: undefined,
} as const;

export function newHistory(id: PeerId): PeerHistory {
  return {
    id,
    ...NO_INTERACTIONS,
    blocksReceived: 0,
    subtreesReceived: 0,
    transactionsReceived: 0,
    lastBlockMs: undefined,
    bytesReceived: 0n,
    validated: undefined,
    fullStoragePenaltyUntilMs: undefined,
  };
}

/** What was delivered and validated is kept; so is a penalty. */
export function afterReset(history: PeerHistory): PeerHistory {
  return { ...history, ...NO_INTERACTIONS };
}

export function afterAnotherChance(history: PeerHistory, nowMs: number): PeerHistory {
  const { resets } = history;
  return { ...history, reputation: RECONSIDERED_REPUTATION, malicious: 0, lastResetMs: nowMs, resets: resets + 1 };
}

export function afterEvent(history: PeerHistory, event: PeerEvent, times: EventTimes): PeerHistory {
  const { nowMs } = times;
  switch (event.type) {
    case 'sync_attempt':
      return afterSyncAttempt(history, nowMs);
    case 'catchup_attempt':
      return { ...afterSyncAttempt(history, nowMs), catchupAttempts: history.catchupAttempts + 1 };
    case 'catchup_success': {
      const catchupSuccesses = history.catchupSuccesses + 1;
      return afterSuccess({ ...history, catchupSuccesses }, event.responseMs, nowMs);
    }
    case 'catchup_failure': {
      const failed = afterFailure({ ...history, catchupFailures: history.catchupFailures + 1 }, nowMs);
      return event.kind === 'block_incomplete' ? afterIncompleteBlock(failed, times) : failed;
    }
    case 'catchup_malicious':
      return afterFailure({ ...history, malicious: history.malicious + 1 }, nowMs);
    case 'catchup_error':
      return {
        ...history,
        lastCatchupError: firstCharacters(event.message, MAX_ERROR_CHARS),
        lastCatchupErrorMs: nowMs,
      };
    case 'failure':
      return afterFailure(history, nowMs);
    case 'valid_block': {
      const delivered = { blocksReceived: history.blocksReceived + 1, lastBlockMs: nowMs };
      return afterSuccess({ ...history, ...delivered }, event.responseMs, nowMs);
    }
    case 'valid_subtree': {
      const subtreesReceived = history.subtreesReceived + 1;
      return afterSuccess({ ...history, subtreesReceived }, event.responseMs, nowMs);
    }
    case 'valid_headers':
      return afterSuccess(history, event.responseMs, nowMs);
    case 'validated_progress':
      return afterProgress(history, event, nowMs);
    case 'bytes_downloaded':
      return { ...history, bytesReceived: atMostUint64(history.bytesReceived + event.bytes) };
    case 'reputation_set':
      return { ...history, reputation: clampedReputation(event.reputation) };
  }
}

/** At most so many whole characters, as they may be shown; halves of surrogate pairs become replacement characters. */
export function firstCharacters(text: string, maxChars: number): string {
  // A character has two code units at most.
  return [...shownText(text.slice(0, 2 * maxChars))].slice(0, maxChars).join('');
}

function atMostUint64(bytes: bigint): bigint {
  return bytes < MAX_UINT64 ? bytes : MAX_UINT64;
}

function afterSyncAttempt(history: PeerHistory, nowMs: number): PeerHistory {
  return { ...history, syncAttempts: history.syncAttempts + 1, lastSyncAttemptMs: nowMs };
}

function afterSuccess(history: PeerHistory, responseMs: number | undefined, nowMs: number): PeerHistory {
  return rated(
    {
      ...history,
      attempts: history.attempts + 1,
      successes: history.successes + 1,
      lastAttemptMs: nowMs,
      lastSuccessMs: nowMs,
      avgResponseMs: averageAfter(history.avgResponseMs, responseMs),
    },
    nowMs,
  );
}

function afterFailure(history: PeerHistory, nowMs: number): PeerHistory {
  const { attempts, failures } = history;
  return rated(
    { ...history, attempts: attempts + 1, failures: failures + 1, lastAttemptMs: nowMs, lastFailureMs: nowMs },
    nowMs,
  );
}

/** Headers are credited before blocks are delivered: a peer that withholds a block must earn its work anew. */
function afterIncompleteBlock(history: PeerHistory, { nowMs, fullStoragePenaltyMs }: EventTimes): PeerHistory {
  const fullStoragePenaltyUntilMs = Math.max(history.fullStoragePenaltyUntilMs ?? 0, nowMs + fullStoragePenaltyMs);
  return { ...history, fullStoragePenaltyUntilMs, validated: undefined };
}

/** Only more work counts, and none during a penalty. */
function afterProgress(
  history: PeerHistory,
  { height, hash, chainWork }: Extract<PeerEvent, { type: 'validated_progress' }>,
  nowMs: number,
): PeerHistory {
  if (nowMs < (history.fullStoragePenaltyUntilMs ?? 0)) return history;
  if (chainWork <= (history.validated?.chainWork ?? 0n)) return history;
  return { ...history, validated: { height, hash, chainWork, atMs: nowMs } };
}

function rated(history: PeerHistory, nowMs: number): PeerHistory {
  return { ...history, reputation: reputationOf(history, nowMs) };
}
