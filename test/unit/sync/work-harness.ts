// A sync manager with the rules of today.md, and experiences with peers in memory.
import { systemClock } from '../../../src/ports/clock.ts';
import type { WorkPeerRow } from '../../../src/sync/choose-by-work.ts';
import { WorkPolicy, type WorkPolicyOptions } from '../../../src/sync/work-policy.ts';
import { FakeHistories, historyWith } from '../../fakes/peer-histories.ts';
import { recordingLogger } from '../../fakes/recorders.ts';
import { MINUTE, type Options, SECOND, setUpWith } from './harness.ts';
import { OWN_WORK, validated, workRow } from './work-rows.ts';

const OPTIONS: Omit<WorkPolicyOptions, 'forcedPeer'> = {
  allowsPruned: true,
  maxProbes: 3,
  evaluationMs: 30 * SECOND,
  noProgressMs: 5 * MINUTE,
  deliveryFreshMs: 24 * 60 * MINUTE,
};

/** Timers and time must be vitest's fakes. */
export function setUpByWork(
  rows: readonly WorkPeerRow[] = [],
  changes: Partial<Options & WorkPolicyOptions> & { readonly random?: () => number } = {},
) {
  const histories = new FakeHistories();
  const log = recordingLogger();
  const policies: WorkPolicy[] = [];
  const { random = () => 0, ...options } = changes;
  const made = setUpWith(
    (candidates, forcedPeer) => {
      const deps = { candidates, histories, clock: systemClock, random, log };
      const policy = new WorkPolicy(deps, { ...OPTIONS, ...options, forcedPeer });
      policies.push(policy);
      return policy;
    },
    rows,
    options,
  );
  made.blockchain.work = OWN_WORK;
  const current = new Map(rows.map((each) => [each.peerId as string, each]));
  const set = (...changed: WorkPeerRow[]) => {
    for (const each of changed) current.set(each.peerId, each);
    made.set(...changed);
  };
  return {
    ...made,
    set,
    histories,
    /** Lines of the policy. */
    policyLog: log,
    urlsToCheck: () => policies[0]?.urlsToCheck() ?? [],
    /** Our validation reports one more block of the peer as valid. */
    delivers: (name: string) => {
      const row = current.get(name) ?? workRow(name, 0);
      const { history = historyWith(name) } = row;
      const blocksReceived = history.blocksReceived + 1;
      set({ ...row, history: { ...history, blocksReceived, lastBlockMs: Date.now() } });
    },
    /** Our chain grows, and with it its work. */
    grows: (blocks: number) => {
      made.blockchain.height += blocks;
      made.blockchain.work = (made.blockchain.work ?? 0n) + BigInt(blocks);
    },
  };
}

/** A peer whose validated chain is ahead of ours by some blocks, each of work 1. */
export function ahead(name: string, height: number, blocks: number, changes: Partial<WorkPeerRow> = {}): WorkPeerRow {
  return workRow(name, height, { ...validated(name, OWN_WORK + BigInt(blocks), height), ...changes });
}
