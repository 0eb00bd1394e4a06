import { describe, expect, test } from 'vitest';
import type { DevnetState, NodeState } from '../../../dashboard/model/api-types.ts';
import {
  branches,
  connectedText,
  cutLinks,
  devnetGraph,
  nodeStateText,
  Travels,
} from '../../../dashboard/model/devnet.ts';
import { nearestLink } from '../../../dashboard/model/nearest-link.ts';

const hash = 'aa'.repeat(32);

function node(number: number, fields: Partial<NodeState> = {}): NodeState {
  return {
    ...{ node: number, http: `http://127.0.0.1:${9906 + number}`, peerId: `peer ${number}`, data: '/tmp' },
    ...{ isRunning: true, isReady: true, slowMs: 0, tip: { height: 7, hash }, peers: [], bans: [] },
    ...fields,
  };
}

function network(fields: Partial<DevnetState> = {}): DevnetState {
  return {
    ...{ network: 'regtest', wire: 'message-bus', miner: 1, mineEverySeconds: 5, liars: [], maxLiars: 3 },
    nodes: [
      node(1, { peers: ['node 2', 'node 3'] }),
      node(2, { peers: ['node 1', 'liar 1'], slowMs: 500 }),
      node(3, { peers: ['node 1'] }),
    ],
    links: [
      { a: 1, b: 2, state: 'restored' },
      { a: 1, b: 3, state: 'restored' },
      { a: 2, b: 3, state: 'cut' },
    ],
    ...fields,
  };
}

describe('the graph of a development network', () => {
  test('has the nodes with their heights and delays, and says of each link whether it is cut or connected', () => {
    const { nodes, links } = devnetGraph(network());
    expect(nodes).toEqual([
      { id: 'node 1', kind: 'miner', label: 'node 1 · 7' },
      { id: 'node 2', kind: 'node', label: 'node 2 · 7 · +500 ms' },
      { id: 'node 3', kind: 'node', label: 'node 3 · 7' },
    ]);
    expect(links.map(({ kind }) => kind)).toEqual(['up', 'up', 'cut']);
  });

  test('shows a node that does not run, and its links as down', () => {
    const gone = node(3, { isRunning: false, isReady: false, tip: null, peers: null, bans: null });
    const { nodes: all } = network();
    const { nodes, links } = devnetGraph(network({ nodes: [...all.slice(0, 2), gone] }));
    expect(nodes[2]).toEqual({ id: 'node 3', kind: 'absent', label: 'node 3' });
    expect(links[1]).toEqual({ source: 'node 1', target: 'node 3', kind: 'down' });
  });

  test('has a liar with the nodes that it is connected to, until it ends', () => {
    const liar = { liar: 1, peerId: 'peer of liar', isRunning: true };
    const { nodes, links } = devnetGraph(network({ liars: [liar] }));
    expect(nodes.at(-1)).toEqual({ id: 'liar 1', kind: 'liar', label: 'liar 1' });
    expect(links.slice(3)).toEqual([{ source: 'liar 1', target: 'node 2', kind: 'liar' }]);
    expect(devnetGraph(network({ liars: [{ ...liar, isRunning: false }] }))).toEqual(devnetGraph(network()));
  });
});

test('the link that is nearest to a click is found, within eight pixels and not beyond its ends', () => {
  const at = (id: string): [number, number] | undefined =>
    ({ a: [0, 0], b: [100, 0], c: [100, 10] })[id] as [number, number] | undefined;
  const links = [
    { source: 'a', target: 'b' },
    { source: 'a', target: 'c' },
    { source: 'a', target: 'unknown' },
  ];
  expect(nearestLink(links, at, [50, 1])).toBe(links[0]);
  expect(nearestLink(links, at, [50, 6])).toBe(links[1]);
  expect(nearestLink(links, at, [50, -9])).toBeUndefined();
  expect(nearestLink(links, at, [109, 0])).toBeUndefined();
});

describe('the way of a block', () => {
  const HOP_MS = 450;

  test('is drawn hop by hop, however soon the hops followed each other', () => {
    const travels = new Travels(HOP_MS);
    const heard = (node: number, from: string, nowMs: number) =>
      travels.heard({ event: 'heard', node, from, hash }, nowMs);
    expect(heard(2, 'node 1', 1000)).toEqual({ path: ['node 1', 'node 2'], sinceMs: 1000 });
    expect(heard(3, 'node 2', 1002)).toEqual({ path: ['node 2', 'node 3'], sinceMs: 1000 + HOP_MS });
    expect(heard(4, 'node 3', 1003).sinceMs).toBe(1000 + 2 * HOP_MS);
    expect(heard(5, 'node 3', 9000).sinceMs).toBe(9000);
  });

  test('does not wait for another block', () => {
    const travels = new Travels(HOP_MS);
    travels.heard({ event: 'heard', node: 2, from: 'node 1', hash }, 1000);
    expect(travels.heard({ event: 'heard', node: 3, from: 'node 2', hash: 'bb' }, 1001).sinceMs).toBe(1001);
  });
});

test('a node ends, starts, hangs or runs', () => {
  expect(nodeStateText(node(1, { isRunning: false, isReady: false }))).toBe('ended');
  expect(nodeStateText(node(1, { isReady: false }))).toBe('starting');
  expect(nodeStateText(node(1, { tip: null }))).toBe('does not answer');
  expect(nodeStateText(node(1))).toBe('running');
});

test('of the nodes that a node is linked to, those that it is connected with are counted, without liars', () => {
  const now = network();
  expect(now.nodes.map((each) => connectedText(each, now))).toEqual(['2 of 2', '1 of 2', '1 of 2']);
  expect(connectedText(node(2, { peers: null }), now)).toBe('–');
});

test('the tips of nodes that answer are counted', () => {
  const other = node(3, { tip: { height: 7, hash: 'bb' } });
  expect(branches(network())).toBe(1);
  expect(branches(network({ nodes: [node(1), node(2, { tip: null }), other] }))).toBe(2);
});

test('the links that are cut are put together by one of their ends', () => {
  const cut = (a: number, b: number) => ({ a, b, state: 'cut' as const });
  const links = [cut(1, 3), cut(1, 4), cut(2, 3), { a: 3, b: 4, state: 'restored' as const }];
  expect(cutLinks(network({ links }))).toEqual([
    { a: 1, bs: [3, 4] },
    { a: 2, bs: [3] },
  ]);
});
