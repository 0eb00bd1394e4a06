import { describe, expect, test } from 'vitest';
import { helpText, type Order, postedOrder, SWITCHES, typedOrder } from '../../../src/cli/devnet/switches.ts';

const ORDERS: readonly (readonly [typed: string, path: string, body: object, order: Order])[] = [
  ['cut 1 2', '/devnet/links/1/2', { state: 'cut' }, { do: 'link', a: [1], b: [2], state: 'cut' }],
  ['cut 1,2 3,4,4', '/devnet/links/1,2/3,4,4', { state: 'cut' }, { do: 'link', a: [1, 2], b: [3, 4], state: 'cut' }],
  ['join 1 2', '/devnet/links/1/2', { state: 'restored' }, { do: 'link', a: [1], b: [2], state: 'restored' }],
  ['slow 3 500', '/devnet/nodes/3', { slowMs: 500 }, { do: 'slow', node: 3, slowMs: 500 }],
  ['slow 3 0', '/devnet/nodes/3', { slowMs: 0 }, { do: 'slow', node: 3, slowMs: 0 }],
  ['mine', '/devnet/mine', {}, { do: 'mine', node: 1, blocks: 1 }],
  ['  mine  4  5 ', '/devnet/mine', { node: 4, blocks: 5 }, { do: 'mine', node: 4, blocks: 5 }],
  ['liar', '/devnet/liars', {}, { do: 'liar' }],
  ['stop 3', '/devnet/nodes/3', { state: 'stopped' }, { do: 'node', node: 3, state: 'stopped' }],
  ['start 3', '/devnet/nodes/3', { state: 'running' }, { do: 'node', node: 3, state: 'running' }],
  [
    'ban 2 127.1.2.3',
    '/devnet/bans',
    { node: 2, subject: '127.1.2.3' },
    { do: 'ban', node: 2, subject: '127.1.2.3', state: 'banned' },
  ],
  ['ban 2 3', '/devnet/bans', { node: 2, subject: 3 }, { do: 'ban', node: 2, subject: '3', state: 'banned' }],
  [
    'unban 2 3',
    '/devnet/bans',
    { node: 2, subject: 3, state: 'lifted' },
    { do: 'ban', node: 2, subject: '3', state: 'lifted' },
  ],
];

describe('the switches of a development network', () => {
  test.each(ORDERS)('%s is the same order typed and posted', (typed, path, body, order) => {
    expect(typedOrder(typed)).toEqual(order);
    expect(postedOrder(path, body as Record<string, unknown>)).toEqual(order);
  });

  test.each([
    ['fly', 'unknown command "fly" (expected cut, join, slow, stop, start, mine, liar, ban, unban or help)'],
    ['constructor', 'unknown command "constructor"'],
    ['cut', 'invalid node "" (expected a whole number from 1 to 99)'],
    ['cut 1 x', 'invalid node "x"'],
    ['cut 1, 2', 'invalid node ""'],
    ['slow 3', 'invalid delay in ms (none) (expected a whole number from 0 to 60000)'],
    ['slow 3 60001', 'invalid delay in ms "60001"'],
    ['mine 0', 'invalid node "0"'],
    ['mine 1 101', 'invalid number of blocks "101"'],
    ['ban 2', 'invalid subject (none) (expected an IP address, a peer ID or the number of a node)'],
  ])('refuses %s when it is typed, and says what is expected', (typed, message) => {
    expect(() => typedOrder(typed)).toThrow(message);
  });

  test.each([
    ['/devnet/links/1/2', { state: 'broken' }, 'invalid state "broken" (expected cut or restored)'],
    ['/devnet/links/1/2', {}, 'invalid state (none)'],
    ['/devnet/nodes/3', { slowMs: 1.5 }, 'invalid delay in ms 1.5'],
    ['/devnet/nodes/3', { state: 'slow' }, 'invalid state "slow" (expected stopped or running)'],
    ['/devnet/bans', { node: 2, subject: 3, state: 'no' }, 'invalid state "no" (expected banned or lifted)'],
    ['/devnet/nodes/3', { slowMs: -1 }, 'invalid delay in ms -1'],
    ['/devnet/mine', { node: null }, 'invalid node null'],
    ['/devnet/bans', { node: 2, subject: { ip: 1 } }, 'invalid subject {"ip":1}'],
    ['/devnet/bans', { node: 2, subject: 'x'.repeat(201) }, 'invalid subject "xxx'],
  ])('refuses a request to %s with %j, and says what is expected', (path, body, message) => {
    expect(() => postedOrder(path, body as Record<string, unknown>)).toThrow(message);
  });

  test.each(['/devnet', '/devnet/links/1', '/devnet/links/a/b', '/devnet/nodes/', '/x/devnet/mine'])(
    'has no order for the path %s',
    (path) => {
      expect(postedOrder(path, {})).toBeUndefined();
    },
  );

  test('the help has a line for each', () => {
    expect(helpText().trimEnd().split('\n')).toHaveLength(Object.keys(SWITCHES).length);
  });
});
