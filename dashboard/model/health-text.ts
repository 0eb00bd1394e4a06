// The checks of /health/ready in words for people who do not know the parts.
import type { Health } from './api-types.ts';

export type Check = Health['checks'][number];

/** First match of the check's name. */
const PARTS: readonly (readonly [name: RegExp, title: string, purpose: string])[] = [
  [/^blockchain/, 'Blockchain', 'says which blocks are valid and which is our best one'],
  [/^fsm/, 'State of the node', 'decides whether blocks are announced'],
  [/^block_?validation/, 'Block validation', 'checks the blocks that were received'],
  [/^block_?assembly/, 'Block assembly', 'makes the blocks that this node mines'],
  [/^kafka_invalid_/, 'Kafka, results', 'tells this node which blocks and subtrees were invalid'],
  [/^kafka_rejected_tx/, 'Kafka, rejected transactions', 'tells this node which transactions were rejected'],
  [/^kafka_blocks/, 'Kafka, blocks', 'passes received blocks to block validation'],
  [/^kafka_subtrees/, 'Kafka, subtrees', 'passes received subtrees to subtree validation'],
  [/^peer_registry/, 'Peer registry', 'keeps what is known of peers'],
  [/^peers/, 'Peers', 'are the nodes that this one is connected with'],
  [/^feed/, 'Announcements', 'arrive from peers'],
  [/^ban_store/, 'Ban store', 'keeps bans across restarts'],
];

export function partOf(name: string): { readonly title: string; readonly purpose: string } {
  const found = PARTS.find(([pattern]) => pattern.test(name));
  return { title: found?.[1] ?? name, purpose: found?.[2] ?? 'is a part that this node depends on' };
}

/** One sentence on all of them. */
export function healthText(checks: readonly Check[]): string {
  const failed = checks.filter(({ ok }) => !ok);
  if (checks.length === 0) return 'No checks are known yet.';
  if (failed.length === 0) return `All ${checks.length} checks pass: the node is ready.`;
  return `${failed.length} of ${checks.length} checks fail: ${failed.map(({ name }) => name).join(', ')}.`;
}
