// `teranode-p2p chain`: the own chain of a running node beside what its peers say of theirs.
import type { ChainHeader, NodeSummary } from '../../client/index.ts';
import { P2PError } from '../../lib/errors.ts';
import { MAX_HEADERS } from '../../ports/admin-api.ts';
import { terminalOf } from '../terminal.ts';
import type { Action } from './connection.ts';
import { byteCount, counted, isoTime, rows, table, visible } from './table.ts';

const DEFAULT_HEADERS = 10;

interface HeaderFlags {
  readonly count?: string | undefined;
}

/** The highest block that connected peers name, and how many name one that high. */
interface NetworkTip {
  readonly height: number;
  readonly hash: string | undefined;
  readonly peers: number;
}

export const showTip: Action = async (client, _argument, _flags, io) => {
  const [node, peers] = await Promise.all([client.status(), client.listPeers()]);
  const claimed = highest(peers.map(({ height, bestBlockHash: hash }) => ({ height, hash })));
  const proven = highest(peers.map(({ provenHeight: height, provenHash: hash }) => ({ height, hash })));
  const behind = blocksBehind(node, claimed);
  const { fsmState, bestHeight, bestBlockHash, syncPeer, syncReason } = node;
  const heard = `of ${counted(peers.length, 'peer')}`;
  const none = peers.length === 0 ? 'unknown: no peer is connected' : `unknown: none ${heard} says`;
  const terminal = terminalOf(io);
  return {
    people: rows(
      [
        ['own tip', bestHeight === undefined ? UNKNOWN_TIP : `${bestHeight} ${bestBlockHash ?? ''}`],
        ['FSM', fsmState ?? UNKNOWN_TIP],
        ['claimed by peers', claimed === undefined ? none : `${tipText(claimed)} (by ${claimed.peers} ${heard})`],
        ['proven by peers', proven === undefined ? none : `${tipText(proven)} (by ${proven.peers} ${heard})`],
        ['behind', behind === undefined ? 'unknown' : behind === 0 ? 'no' : counted(behind, 'block')],
        ['sync peer', syncPeer ?? 'none'],
        ...(syncReason === undefined ? [] : [['', visible(syncReason)] as const]),
      ],
      terminal,
    ),
    programs: [
      {
        ...{ bestHeight, bestBlockHash, fsmState, syncPeer, syncReason },
        claimed,
        proven,
        peers: peers.length,
        blocksBehind: behind,
      },
    ],
  };
};

const UNKNOWN_TIP = 'unknown: the blockchain service does not answer';

/** Throws INPUT_INVALID for a wrong count. */
export const listHeaders: Action = async (client, _argument, { count }: HeaderFlags, io) => {
  const headers = await client.listHeaders('', headerCount(count));
  const columns = [
    { head: 'height', isNumber: true },
    'hash',
    'time',
    { head: 'transactions', isNumber: true },
    { head: 'size', isNumber: true },
    'miner',
  ];
  const cells = headers.map((each) => [
    each.isInvalid ? { text: `${each.height} invalid`, color: 'red' as const } : String(each.height),
    each.hash ?? '',
    isoTime(each.timeMs),
    String(each.txCount),
    byteCount(each.sizeInBytes),
    each.miner,
  ]);
  return {
    people: headers.length === 0 ? 'no headers\n' : table(columns, cells, terminalOf(io)),
    programs: headers.map(shownHeader),
  };
};

/** Throws NOT_DONE when there is no such block. */
export const showHeader: Action = async (client, block, _flags, io) => {
  const [header] = await client.listHeaders(block, 1);
  if (header === undefined) throw new P2PError('NOT_DONE', visible(`the node does not know a block ${block}`));
  const people = rows(
    [
      ['hash', header.hash ?? ''],
      ['height', String(header.height)],
      ['time', isoTime(header.timeMs)],
      ['previous', header.previousHash ?? ''],
      ['transactions', String(header.txCount)],
      ['size', byteCount(header.sizeInBytes)],
      ['miner', header.miner || '-'],
      ['chain work', header.chainWork ?? 'unknown'],
      ['valid', header.isInvalid ? 'no: the blockchain service refused the block' : 'yes'],
      ['header', header.header],
    ],
    terminalOf(io),
  );
  return { people, programs: [shownHeader(header)] };
};

function headerCount(text: string | undefined): number {
  if (text === undefined) return DEFAULT_HEADERS;
  const count = /^\d{1,4}$/.test(text) ? Number(text) : 0;
  if (count >= 1 && count <= MAX_HEADERS) return count;
  throw new P2PError(
    'INPUT_INVALID',
    visible(`invalid --count ${JSON.stringify(text)} (expected 1 to ${MAX_HEADERS})`),
  );
}

function highest(
  tips: readonly { readonly height: number | undefined; readonly hash: string | undefined }[],
): NetworkTip | undefined {
  const heights = tips.flatMap(({ height }) => (height === undefined ? [] : [height]));
  if (heights.length === 0) return undefined;
  const height = heights.reduce((a, b) => Math.max(a, b));
  const top = tips.filter((each) => each.height === height);
  return { height, hash: top.find(({ hash }) => hash !== undefined)?.hash, peers: top.length };
}

/** undefined while the own tip is unknown, or no peer claims one. */
function blocksBehind({ bestHeight }: NodeSummary, claimed: NetworkTip | undefined): number | undefined {
  if (bestHeight === undefined || claimed === undefined) return undefined;
  return Math.max(0, claimed.height - bestHeight);
}

function tipText({ height, hash }: NetworkTip): string {
  return hash === undefined ? String(height) : `${height} ${hash}`;
}

function shownHeader({ timeMs, ...header }: ChainHeader): unknown {
  return { ...header, time: isoTime(timeMs) || undefined };
}
