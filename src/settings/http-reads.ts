// The groups of HTTP reads that `p2p_http_public_reads` names.

export const HTTP_READS = [
  'peers',
  'bans',
  'explain',
  'settings',
  'announcements',
  'verdicts',
  'sync',
  'topics',
  'endpoints',
  'events',
  'network',
  'history',
] as const;

export type HttpRead = (typeof HTTP_READS)[number];
