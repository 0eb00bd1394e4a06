// A transaction that the author's validator refused: subscribers are notified.
import type { GossipMessage } from '../../ports/p2p-node.ts';
import type { RejectedTxMessage } from '../../wire/rejected-tx.ts';
import type { Effect } from '../effects.ts';
import { type HandlerView, heard } from './view.ts';

export function handleRejectedTx(
  { txId, reason }: RejectedTxMessage,
  { author }: GossipMessage,
  view: HandlerView,
): Effect[] {
  return [
    heard(author, {}, view),
    { type: 'notify', notification: { type: 'rejected_tx', isOwn: false, hash: txId, reason, peerId: author } },
  ];
}
