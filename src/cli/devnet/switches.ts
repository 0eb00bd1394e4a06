// What can be done to a running development network: one table for the control API and for commands typed at a terminal.
import { P2PError } from '../../lib/errors.ts';
import type { LinkState } from './links.ts';

export type Order =
  | { readonly do: 'link'; readonly a: readonly number[]; readonly b: readonly number[]; readonly state: LinkState }
  | { readonly do: 'slow'; readonly node: number; readonly slowMs: number }
  | { readonly do: 'mine'; readonly node: number; readonly blocks: number }
  | { readonly do: 'liar' }
  | { readonly do: 'node'; readonly node: number; readonly state: NodeOrder }
  | { readonly do: 'ban'; readonly node: number; readonly subject: string; readonly state: BanOrder };
export type NodeOrder = 'stopped' | 'running';
export type BanOrder = 'banned' | 'lifted';

interface Switch {
  /** As typed. */
  readonly usage: string;
  readonly help: string;
  /** `words`: without the first. */
  readonly typed: (words: readonly string[]) => Order;
  readonly path: RegExp;
  /** `inPath`: the groups of `path`. */
  readonly posted: (inPath: readonly string[], body: Readonly<Record<string, unknown>>) => Order;
}

const MAX_SLOW_MS = 60_000;
const MAX_BLOCKS = 100;
const MAX_SUBJECT_CHARS = 200;
const NODE = /^\/devnet\/nodes\/(\d{1,2})$/;
const BANS = /^\/devnet\/bans$/;
const LINKS = /^\/devnet\/links\/([\d,]{1,100})\/([\d,]{1,100})$/;

export const SWITCHES: Readonly<Record<string, Switch>> = {
  cut: {
    usage: 'cut 1,2 3,4,5',
    help: 'cut the links between these nodes and those',
    typed: ([a, b]) => link(a, b, 'cut'),
    path: LINKS,
    posted: ([a, b], { state }) => link(a, b, state),
  },
  join: {
    usage: 'join 1,2 3,4,5',
    help: 'restore these links',
    typed: ([a, b]) => link(a, b, 'restored'),
    path: LINKS,
    posted: ([a, b], { state }) => link(a, b, state),
  },
  slow: {
    usage: 'slow 3 500',
    help: 'delay all that goes to and comes from node 3 by 500 ms; 0: no longer',
    typed: ([node, slowMs]) => slow(node, slowMs),
    path: NODE,
    posted: nodeOrder,
  },
  stop: {
    usage: 'stop 3',
    help: 'stop node 3',
    typed: ([node]) => run(node, 'stopped'),
    path: NODE,
    posted: nodeOrder,
  },
  start: {
    usage: 'start 3',
    help: 'start node 3 again, with its chain and its bans',
    typed: ([node]) => run(node, 'running'),
    path: NODE,
    posted: nodeOrder,
  },
  mine: {
    usage: 'mine [node [blocks]]',
    help: 'mine a block at node 1, or so many at another one',
    typed: ([node, blocks]) => mine(node, blocks),
    path: /^\/devnet\/mine$/,
    posted: (_inPath, { node, blocks }) => mine(node, blocks),
  },
  liar: {
    usage: 'liar',
    help: 'add a peer that announces invalid blocks to all nodes',
    typed: () => ({ do: 'liar' }),
    path: /^\/devnet\/liars$/,
    posted: () => ({ do: 'liar' }),
  },
  ban: {
    usage: 'ban 2 <node, peer ID or IP address>',
    help: 'let node 2 ban somebody',
    typed: ([node, subject]) => ban(node, subject, 'banned'),
    path: BANS,
    posted: (_inPath, { node, subject, state }) => ban(node, subject, state),
  },
  unban: {
    usage: 'unban 2 <node, peer ID or IP address>',
    help: 'let node 2 lift that ban',
    typed: ([node, subject]) => ban(node, subject, 'lifted'),
    path: BANS,
    posted: (_inPath, { node, subject, state }) => ban(node, subject, state),
  },
};

/** Of a line that was typed. Throws INPUT_INVALID. */
export function typedOrder(line: string): Order {
  const [word = '', ...words] = line.trim().split(/\s+/);
  const found = Object.hasOwn(SWITCHES, word) ? SWITCHES[word] : undefined;
  if (found === undefined)
    throw invalid(
      `unknown command ${JSON.stringify(word.slice(0, 40))}`,
      `${Object.keys(SWITCHES).join(', ')} or help`,
    );
  return found.typed(words);
}

/** Of a request to the control API; undefined for a path that it does not have. Throws INPUT_INVALID. */
export function postedOrder(path: string, body: Readonly<Record<string, unknown>>): Order | undefined {
  for (const each of Object.values(SWITCHES)) {
    const found = each.path.exec(path);
    if (found !== null) return each.posted(found.slice(1), body);
  }
  return undefined;
}

export function isSwitch(path: string): boolean {
  return Object.values(SWITCHES).some((each) => each.path.test(path));
}

export function helpText(): string {
  const width = Math.max(...Object.values(SWITCHES).map(({ usage }) => usage.length));
  return Object.values(SWITCHES)
    .map(({ usage, help }) => `  ${usage.padEnd(width)}  ${help}\n`)
    .join('');
}

function link(a: string | undefined, b: string | undefined, state: unknown): Order {
  if (state !== 'cut' && state !== 'restored') throw invalid(`invalid state ${shown(state)}`, 'cut or restored');
  return { do: 'link', a: nodes(a), b: nodes(b), state };
}

function nodeOrder([node]: readonly string[], { slowMs, state }: Readonly<Record<string, unknown>>): Order {
  return state === undefined ? slow(node, slowMs) : run(node, state);
}

function run(node: string | undefined, state: unknown): Order {
  if (state !== 'stopped' && state !== 'running') throw invalid(`invalid state ${shown(state)}`, 'stopped or running');
  return { do: 'node', node: wholeNumber('node', node, 99), state };
}

function slow(node: string | undefined, slowMs: unknown): Order {
  return {
    do: 'slow',
    node: wholeNumber('node', node, 99),
    slowMs: wholeNumber('delay in ms', slowMs, MAX_SLOW_MS, 0),
  };
}

function mine(node: unknown = 1, blocks: unknown = 1): Order {
  return {
    do: 'mine',
    node: wholeNumber('node', node, 99),
    blocks: wholeNumber('number of blocks', blocks, MAX_BLOCKS),
  };
}

function ban(node: unknown, subject: unknown, state: unknown = 'banned'): Order {
  if (state !== 'banned' && state !== 'lifted') throw invalid(`invalid state ${shown(state)}`, 'banned or lifted');
  const text = typeof subject === 'number' ? String(subject) : subject;
  if (typeof text !== 'string' || text === '' || text.length > MAX_SUBJECT_CHARS)
    throw invalid(`invalid subject ${shown(subject)}`, 'an IP address, a peer ID or the number of a node');
  return { do: 'ban', node: wholeNumber('node', node, 99), subject: text, state };
}

function nodes(list: string | undefined): readonly number[] {
  return [...new Set((list ?? '').split(',').map((each) => wholeNumber('node', each, 99)))];
}

function wholeNumber(what: string, value: unknown, max: number, min = 1): number {
  const number = typeof value === 'string' && /^\d{1,9}$/.test(value) ? Number(value) : value;
  if (typeof number !== 'number' || !Number.isInteger(number) || number < min || number > max)
    throw invalid(`invalid ${what} ${shown(value)}`, `a whole number from ${min} to ${max}`);
  return number;
}

function shown(value: unknown): string {
  return value === undefined ? '(none)' : (JSON.stringify(value) ?? '').slice(0, 60);
}

function invalid(fault: string, expected: string): P2PError {
  return new P2PError('INPUT_INVALID', `${fault} (expected ${expected})`);
}
