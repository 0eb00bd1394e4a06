// `teranode-p2p status`: a running node at a glance.
import type { NodeSummary } from '../../client/index.ts';
import type { Action } from './connection.ts';
import { visible } from './table.ts';

export const showStatus: Action = async (client) => {
  const node = await client.status();
  return { people: shown(node), programs: [node] };
};

function shown(node: NodeSummary): string {
  const { fsmState = 'unknown', bestHeight, bestBlockHash = '', connectedPeers, networks } = node;
  const failed = node.checks.filter(({ ok }) => !ok);
  const rows: readonly (readonly [name: string, value: string])[] = [
    ['peer ID', node.peerId],
    ['version', node.version],
    ['health', node.isReady ? 'ready' : 'not ready'],
    ...failed.map(({ name, details }) => ['', `${name}: ${details}`] as const),
    ['peers', connectedPeers === 0 ? `0 ${checkOf(node, 'peers')}` : String(connectedPeers)],
    ['tip', bestHeight === undefined ? 'unknown' : `${bestHeight} ${bestBlockHash}`],
    ['FSM', fsmState],
    ['sync peer', node.syncPeer ?? 'none'],
    ...networks.flatMap(({ wire, topicPrefix, listenAddresses }) => [
      [wire, `topics ${topicPrefix}-…`] as const,
      ...listenAddresses.map((address) => ['', address] as const),
    ]),
    ['HTTP', node.httpUrl ?? 'not served'],
  ];
  const width = Math.max(...rows.map(([name]) => name.length)) + 2;
  return rows.map(([name, value]) => `${visible(name.padEnd(width) + value).trimEnd()}\n`).join('');
}

/** What a check says beside its result, in brackets. */
function checkOf({ checks }: NodeSummary, name: string): string {
  const details = checks.find((check) => check.name === name)?.details;
  return details === undefined ? '' : `(${details})`;
}
