// What a development network tells: JSON lines for programs, one line of text each for people.
import { counted } from '../commands/table.ts';
import type { Terminal } from '../terminal.ts';
import type { HeardBlock } from './blocks.ts';
import type { LinkState } from './links.ts';
import type { Tip } from './node-process.ts';

export type DevnetEvent =
  | {
      readonly event: 'starting';
      readonly nodes: readonly { readonly node: number; readonly http: string; readonly peerId: string }[];
      readonly control: string;
      readonly data: string;
      readonly isDataRemoved: boolean;
    }
  | { readonly event: 'progress'; readonly ready: number; readonly connected: number; readonly of: number }
  | { readonly event: 'ready'; readonly nodes: number; readonly tookMs: number }
  | HeardBlock
  | {
      readonly event: 'reorg';
      readonly node: number;
      readonly from: Tip;
      readonly to: Tip;
      readonly fork: Tip;
    }
  | { readonly event: 'ban'; readonly node: number; readonly subject: string; readonly reason: string }
  | { readonly event: 'unban'; readonly node: number; readonly subject: string }
  | { readonly event: 'link'; readonly a: number; readonly b: number; readonly state: LinkState }
  | { readonly event: 'slow'; readonly node: number; readonly slowMs: number }
  | { readonly event: 'liar'; readonly liar: number; readonly peerId: string; readonly state: 'started' | 'stopped' }
  | { readonly event: 'node'; readonly node: number; readonly state: 'stopped' | 'started' | 'ready' }
  | { readonly event: 'died'; readonly node: number; readonly how: string }
  | { readonly event: 'stopping' }
  | { readonly event: 'stopped' };

const SHORT_HASH = 16;
const NAME_COLUMNS = 10;

export function eventText(event: DevnetEvent, terminal: Terminal): string {
  if (event.event === 'starting') return startingText(event, terminal);
  const isBad = event.event === 'died' || event.event === 'ban';
  const name = terminal.color(isBad ? 'yellow' : 'bold', event.event);
  return `${name}${' '.repeat(Math.max(1, NAME_COLUMNS - event.event.length))}${eventDetails(event)}\n`;
}

function startingText(event: Extract<DevnetEvent, { event: 'starting' }>, terminal: Terminal): string {
  const { nodes, control, data, isDataRemoved } = event;
  const lines = [
    // People open the first address.
    ['dashboard', `${control}/`],
    ...nodes.map(({ node, http }): [string, string] => [`node ${node}`, http]),
    ['control', `${control}/devnet`],
    ['data', `${data}${isDataRemoved ? ' (removed at the end)' : ''}`],
  ] as const;
  return lines.map(([name, value]) => `${terminal.color('bold', name.padEnd(NAME_COLUMNS))}${value}\n`).join('');
}

/** One line, without the name of the event. */
export function eventDetails(event: DevnetEvent): string {
  switch (event.event) {
    case 'starting':
      return counted(event.nodes.length, 'node');
    case 'progress':
      return `${event.ready} of ${event.of} nodes ready, ${event.connected} fully connected`;
    case 'ready':
      return `${counted(event.nodes, 'node')}, connected after ${(event.tookMs / 1000).toFixed(1)} s`;
    case 'block': {
      const within = event.heardBy > 0 ? ` within ${event.withinMs} ms` : '';
      return `${tipText(event)} mined by node ${event.node}, heard by ${event.heardBy} of ${counted(event.of, 'other node')}${within}`;
    }
    case 'reorg':
      return `node ${event.node} left ${tipText(event.from)} for ${tipText(event.to)}, after ${event.fork.height}`;
    case 'ban':
      return `node ${event.node} banned ${event.subject}: ${event.reason}`;
    case 'unban':
      return `node ${event.node} no longer bans ${event.subject}`;
    case 'link':
      return `between nodes ${event.a} and ${event.b} ${event.state}`;
    case 'slow':
      return `node ${event.node} ${event.slowMs === 0 ? 'no longer delayed' : `delayed by ${event.slowMs} ms`}`;
    case 'liar':
      return `${event.liar} ${event.state}, peer ${event.peerId}`;
    case 'node':
      return `${event.node} ${event.state}`;
    case 'died':
      return `node ${event.node} ended (${event.how}); the others go on, "start ${event.node}" starts it again`;
    case 'stopping':
      return 'all nodes';
    case 'stopped':
      return 'all nodes';
    default:
      return event satisfies never;
  }
}

function tipText({ height, hash }: Tip): string {
  return `${height} ${hash.slice(0, SHORT_HASH)}…`;
}
