// `teranode-p2p status`: a running node at a glance.
import type { NodeSummary } from '../../client/index.ts';
import { type Terminal, terminalOf } from '../terminal.ts';
import type { Action } from './connection.ts';
import { rows, visible } from './table.ts';

export const showStatus: Action = async (client, _argument, _flags, io) => {
  const node = await client.status();
  return { people: shown(node, terminalOf(io)), programs: [node] };
};

function shown(node: NodeSummary, terminal: Terminal): string {
  const { fsmState, bestHeight, bestBlockHash = '', connectedPeers, networks } = node;
  const unknown = 'unknown: the blockchain service does not answer';
  const failed = node.checks.filter(({ ok }) => !ok);
  return rows(
    [
      ['peer ID', node.peerId],
      ['version', node.version],
      ['health', node.isReady ? { text: 'ready', color: 'green' } : { text: 'not ready', color: 'red' }],
      ...failed.map(({ name, details }) => ['', `${name}: ${details}`] as const),
      ['peers', connectedPeers === 0 ? `0 ${checkOf(node, 'peers')}`.trimEnd() : String(connectedPeers)],
      ['tip', bestHeight === undefined ? unknown : `${bestHeight} ${bestBlockHash}`],
      ['FSM', fsmState ?? unknown],
      ['sync peer', node.syncPeer ?? 'none'],
      ...(node.syncReason === undefined ? [] : [['', visible(node.syncReason)] as const]),
      ...networks.flatMap(({ wire, topicPrefix, listenAddresses }) => [
        [wire, `topics ${topicPrefix}-…`] as const,
        ...listenAddresses.map((address) => ['', address] as const),
      ]),
      ['HTTP', node.httpUrl ?? 'not served'],
    ],
    terminal,
  );
}

/** What a check says beside its result, in brackets. */
function checkOf({ checks }: NodeSummary, name: string): string {
  const details = checks.find((check) => check.name === name)?.details;
  return details === undefined ? '' : `(${details})`;
}
