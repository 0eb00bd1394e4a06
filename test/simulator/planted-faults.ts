// Faults that are built into parts of the server for a test, to see that the simulator finds them.
import { BanService } from '../../src/bans/service.ts';
import type { PeerId } from '../../src/domain/ids.ts';
import { SeenHashes } from '../../src/gossip/limits/seen-hashes.ts';
import { type Announcement, Attribution } from '../../src/peers/attribution.ts';
import { SimulatedNode } from './simulated-node.ts';

/** Builds the fault in until the returned function is called. */
export const PLANTED = {
  'the first announcer of a block is overwritten by the next': () =>
    replaced(
      Attribution.prototype,
      'announcementsOf',
      (announcementsOf) =>
        function (this: Attribution, hash) {
          return announcementsOf.call(this, hash).slice(-1);
        },
    ),
  'the neighbour that forwarded a message pays for its author': () => {
    let neighbour: PeerId | undefined;
    return all([
      replaced(
        SimulatedNode.prototype,
        'receive',
        (receive) =>
          function (this: SimulatedNode, message, from) {
            neighbour = from;
            receive.call(this, message, from);
            neighbour = undefined;
          },
      ),
      replaced(
        BanService.prototype,
        'addScore',
        (addScore) =>
          function (this: BanService, subject, reason, facts) {
            return addScore.call(this, neighbour ?? subject, reason, facts);
          },
      ),
    ]);
  },
  'the neighbour that brought an invalid block pays for its author': () =>
    replaced(
      Attribution.prototype,
      'announcementsOf',
      (announcementsOf) =>
        function (this: Attribution, hash): readonly Announcement[] {
          return announcementsOf.call(this, hash).map((each) => ({ ...each, author: each.receivedFrom }));
        },
    ),
  'a ban does not reach the other node of a shared store': () =>
    // A private method: where changes of other servers come in.
    replaced(
      BanService.prototype as unknown as { reloadBans: () => Promise<void> },
      'reloadBans',
      () => async () => {},
    ),
  'an announcement that comes again is handed to Kafka again': () =>
    all([
      replaced(Attribution.prototype, 'knows', () => () => false),
      replaced(SeenHashes.prototype, 'take', () => () => true),
    ]),
} as const satisfies Readonly<Record<string, () => () => void>>;

function all(restore: readonly (() => void)[]): () => void {
  return () => {
    for (const each of restore) each();
  };
}

type Method = (...args: never[]) => unknown;

function replaced<K extends string, T extends { [key in K]: Method }>(
  prototype: T,
  name: K,
  replacement: (original: T[K]) => T[K],
): () => void {
  const original = prototype[name];
  prototype[name] = replacement(original);
  return () => {
    prototype[name] = original;
  };
}
