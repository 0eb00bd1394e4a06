// The parts of the dashboard that compute: the feed as it is read and kept, rates, lag, texts, sorting, the graph.
import { describe, expect, test } from 'vitest';
import type { FeedEvent, Peer, Sync } from '../../../dashboard/model/api-types.ts';
import { FeedWindow } from '../../../dashboard/model/feed-window.ts';
import {
  agoText,
  bytesText,
  durationText,
  msText,
  NONE,
  percentText,
  shortHash,
  shortId,
  shortVersion,
} from '../../../dashboard/model/format.ts';
import { linksOf, NetworkGraph, SELF } from '../../../dashboard/model/graph.ts';
import { healthText, partOf } from '../../../dashboard/model/health-text.ts';
import { comparedText, lagOf, lagText, stateText, syncFacts, tipText } from '../../../dashboard/model/lag.ts';
import { isSeen, lostBefore, parsePlace } from '../../../dashboard/model/place.ts';
import { Rates } from '../../../dashboard/model/rates.ts';
import { Samples } from '../../../dashboard/model/samples.ts';
import { nextSorting, sortRows } from '../../../dashboard/model/sort.ts';
import { copiesText, headerAgeText, spreadName } from '../../../dashboard/model/spread.ts';
import { SseParser } from '../../../dashboard/model/sse.ts';

const event = (fields: Partial<FeedEvent>): FeedEvent => ({ type: 'block', ...fields }) as FeedEvent;
const ALL = { types: new Set<string>(), author: '' };

describe('the reader of Server-Sent Events', () => {
  test('finds messages in text that is cut anywhere', () => {
    const text =
      'retry: 2000\nid: e-1\n\nid: e-2\nevent: block\ndata: {"a":1}\n\n:\n\nevent: lost\r\ndata: x\r\ndata: y\r\n\r\n';
    const whole = [
      { id: 'e-1', event: '', data: '' },
      { id: 'e-2', event: 'block', data: '{"a":1}' },
      { id: undefined, event: 'lost', data: 'x\ny' },
    ];
    expect(new SseParser().push(text)).toEqual(whole);
    for (let cut = 0; cut <= text.length; cut += 1) {
      const parser = new SseParser();
      expect([...parser.push(text.slice(0, cut)), ...parser.push(text.slice(cut))]).toEqual(whole);
    }
  });

  test('refuses a message without an end', () => {
    const parser = new SseParser();
    expect(() => parser.push('x'.repeat(1_048_577))).toThrow('an event has more than 1048576 characters');
  });
});

describe('the place in the feed', () => {
  test('knows events that were seen, and none of another start of the server', () => {
    const place = parsePlace('abc-d-12');
    expect(place).toEqual({ epoch: 'abc-d', number: 12 });
    expect(['abc-d-11', 'abc-d-12', 'abc-d-13', 'other-3'].map((id) => isSeen(place, id))).toEqual([
      true,
      true,
      false,
      false,
    ]);
    expect([parsePlace(undefined), parsePlace('none'), isSeen(undefined, 'a-1'), isSeen(place, undefined)]).toEqual([
      undefined,
      undefined,
      false,
      false,
    ]);
  });
});

test('a tab knows what it missed when another one goes on later', () => {
  const place = parsePlace('a-5');
  expect(['a-5', 'a-9', 'b-1', undefined].map((id) => lostBefore(place, id))).toEqual([
    ...[undefined, { reason: 'another tab went on later', count: 4 }, { reason: 'restarted' }, undefined],
  ]);
  expect(lostBefore(undefined, 'a-9')).toBeUndefined();
});

describe('the window of the feed', () => {
  test('keeps the latest of each type, the newest first', () => {
    const feed = new FeedWindow(10);
    feed.add(event({ hash: 'rare' }));
    for (let i = 0; i < 1000; i += 1) feed.add(event({ type: 'subtree', hash: String(i) }));
    const rows = feed.rows(ALL, 100);
    expect(rows.map(({ event: { hash } }) => hash)).toEqual([
      ...['999', '998', '997', '996', '995', '994', '993', '992', '991', '990'],
      'rare',
    ]);
    expect(feed.rows(ALL, 3)).toHaveLength(3);
  });

  test('filters by type and author, and always shows what was lost', () => {
    const feed = new FeedWindow(10);
    feed.add(event({ hash: 'a', peerId: 'PeerOne', clientName: 'Harbour' }));
    feed.add(event({ type: 'subtree', hash: 'b', peerId: 'PeerTwo' }));
    feed.add(event({ type: 'lost', reason: 'restarted' }));
    const shown = (types: string[], author: string) =>
      feed.rows({ types: new Set(types), author }, 10).map(({ event: { hash, type } }) => hash ?? type);
    expect(shown(['block'], '')).toEqual(['lost', 'a']);
    expect(shown([], 'harb')).toEqual(['a']);
    expect(shown([], ' peertwo ')).toEqual(['b']);
  });

  test('puts earlier events below, without those that came over the stream', () => {
    const feed = new FeedWindow(10);
    feed.add(event({ hash: 'b', atMs: 2 }));
    feed.addEarlier([event({ hash: 'b', atMs: 2 }), event({ hash: 'a', atMs: 1 }), event({ hash: 'z', atMs: 0 })]);
    expect(feed.rows(ALL, 10).map(({ event: { hash } }) => hash)).toEqual(['b', 'a', 'z']);
  });
});

describe('rates', () => {
  test('are counted per slot, and slots without events are zero', () => {
    const rates = new Rates(['block', 'subtree'], { slotMs: 2000, slots: 5, nowMs: 0 });
    rates.count('block', 100);
    rates.count('block', 1900);
    rates.count('subtree', 2000, 10);
    rates.count('other', 2000);
    expect(rates.series(6000)).toEqual([
      [0, 2, 4],
      [1, 0, 0],
      [0, 5, 0],
    ]);
  });

  test('forget slots that are too old, also after a long pause', () => {
    const rates = new Rates(['block'], { slotMs: 1000, slots: 4, nowMs: 0 });
    for (let second = 0; second < 10; second += 1) rates.count('block', second * 1000, second);
    expect(rates.series(9000)).toEqual([
      [6, 7, 8],
      [6, 7, 8],
    ]);
    expect(rates.series(1_000_000)).toEqual([
      [997, 998, 999],
      [0, 0, 0],
    ]);
  });

  test('samples keep the latest and show gaps', () => {
    const samples = new Samples(1, 2);
    samples.add(1000, 5);
    samples.add(2000, undefined);
    samples.add(3000, 7);
    expect(samples.series()).toEqual([
      [2, 3],
      [null, 7],
    ]);
  });
});

describe('texts', () => {
  test('show values in the units that people read', () => {
    expect([0, 999, 1000, 1234, 123_456, 5e9, undefined].map(bytesText)).toEqual([
      ...['0 B', '999 B', '1.0 kB', '1.2 kB', '123 kB', '5.0 GB'],
      NONE,
    ]);
    expect([0, 59_000, 60_000, 3_725_000, 90_061_000].map(durationText)).toEqual([
      ...['0 s', '59 s', '1 min', '1 h 2 min', '1 d 1 h'],
    ]);
    expect([0.25, 12.4, 20_000, undefined].map(msText)).toEqual(['0.3 ms', '12 ms', '20 s', NONE]);
    expect([agoText(1000, 4000), agoText(undefined, 1), percentText(0.256)]).toEqual(['3 s ago', NONE, '26 %']);
    expect([shortHash(`${'0'.repeat(56)}abcdef12`), shortHash('')]).toEqual(['0000…abcdef12', NONE]);
    expect(['teranode/bitcoin/v0.9.1', '/Agent:1.0/', 'x'.repeat(40)].map(shortVersion)).toEqual([
      ...['v0.9.1', 'Agent:1.0', `${'x'.repeat(32)}…`],
    ]);
    expect([shortId('12D3KooWCv5gciT4GsWGpxJLa8nmCNkE6Y8FpMgM5vnfVfVGwUXB'), shortId('short')]).toEqual([
      '…VGwUXB',
      'short',
    ]);
  });

  test('say how far a height is from the tip', () => {
    expect([lagOf(5, 7), lagOf(undefined, 7), lagOf(7, undefined)]).toEqual([2, undefined, undefined]);
    expect([0, 1, 1200, -2, undefined].map(lagText)).toEqual([
      ...['at the tip', '1 block behind', '1,200 blocks behind', '2 blocks ahead', 'unknown'],
    ]);
    expect(tipText({ tip: undefined, peers: 3 })).toContain('None of 3');
    expect(stateText('RUNNING')).toContain('runs');
    expect(stateText('NEW')).toContain('NEW');
  });

  test('say what is known of the sync peer, and how many peers were compared', () => {
    const sync: Sync = { bestHeight: 5, syncPeer: { peerId: 'a', height: 9, sinceMs: 0 } };
    const peer = { provenHeight: 8, dataHubHealth: 'healthy', storage: 'full', firstDeliveryShare: 0.5 } as Peer;
    expect(syncFacts(sync, peer)).toEqual([
      'It claims height 9, which is 4 above our own.',
      'Height 8 is proven by a valid header.',
      'Its DataHub answers.',
      'It says that it keeps all blocks.',
      'It delivered 50 % of blocks and subtrees first.',
    ]);
    expect(syncFacts({ bestHeight: 5 }, undefined)).toEqual([]);
    const choice = { known: 1200, usable: 3, considered: [{}, {}] } as NonNullable<Sync['choice']>;
    expect(comparedText(choice)).toBe('1,200 compared, 3 usable, 2 listed');
    expect(comparedText({ ...choice, known: 2 })).toBe('2 compared, 3 usable');
  });

  test('say how a block spread', () => {
    const row = { kind: 'block', hash: 'ab'.repeat(32), height: 1200, copyCount: 0, copies: [] } as never;
    expect([spreadName(row), spreadName({ kind: 'subtree', height: undefined, hash: 'cd' })]).toEqual([
      ...['block 1,200', 'subtree cd'],
    ]);
    expect([3400, -61_000, undefined].map(headerAgeText)).toEqual(['3 s', '1 min 1 s ahead', NONE]);
    const copies = [
      { peerId: 'a', delayMs: 4 },
      { peerId: 'b', delayMs: 120 },
    ];
    const text = (copyCount: number) =>
      copiesText({ ...(row as object), copyCount, copies } as never, (id) => id.toUpperCase());
    expect([copiesText(row, String), text(2), text(9)]).toEqual([
      ...['none', 'A +4.0 ms, B +120 ms', 'A +4.0 ms, B +120 ms, 7 more'],
    ]);
  });

  test('say which parts of the node fail', () => {
    const check = (name: string, ok: boolean) => ({ name, ok, details: '', tookMs: 0, atMs: 0 });
    expect(healthText([check('fsm', true), check('ban_store', true)])).toBe('All 2 checks pass: the node is ready.');
    expect(healthText([check('fsm', true), check('ban_store', false)])).toBe('1 of 2 checks fail: ban_store.');
    expect([partOf('kafka_blocks').title, partOf('something').title]).toEqual(['Kafka, blocks', 'something']);
  });
});

describe('sorting', () => {
  test('has unknown values last in either direction', () => {
    const rows = [{ n: 2 }, { n: undefined }, { n: 1 }];
    const sorted = (isDescending: boolean) => sortRows(rows, ({ n }) => n, isDescending).map(({ n }) => n);
    expect([sorted(false), sorted(true)]).toEqual([
      [1, 2, undefined],
      [2, 1, undefined],
    ]);
    expect(sortRows(['b', 'a'], (text) => text, false)).toEqual(['a', 'b']);
  });

  test('begins with the largest number or the first text, and turns round', () => {
    const first = { column: 'name', isDescending: false };
    expect(nextSorting(first, 'name', true)).toEqual({ column: 'name', isDescending: true });
    expect(nextSorting(first, 'height', false)).toEqual({ column: 'height', isDescending: true });
    expect(nextSorting({ column: 'height', isDescending: true }, 'name', true)).toEqual(first);
  });
});

describe('the graph', () => {
  const peers = [{ id: 'near', clientName: 'Near' }, { id: 'other' }] as Peer[];

  test('has authors behind the peer that brought their announcement', () => {
    const graph = new NetworkGraph();
    graph.setPeers(peers);
    expect(graph.note(event({ peerId: 'far', receivedFrom: 'near', height: 3, atMs: 5 }))).toEqual({
      type: 'block',
      path: ['far', 'near', SELF],
    });
    expect(graph.note(event({ peerId: 'near', receivedFrom: 'near' }))?.path).toEqual(['near', SELF]);
    expect(graph.note(event({ peerId: 'me', isOwn: true }))?.path).toEqual([SELF]);
    expect(graph.note(event({ type: 'node_status', peerId: 'other' }))?.path).toEqual(['other', SELF]);
    expect(graph.note(event({ type: 'node_status', peerId: 'unconnected' }))).toBeUndefined();
    expect(graph.note(event({ type: 'tip' }))).toBeUndefined();
    const nodes = graph.nodes('us');
    expect(nodes.map(({ id, kind, behind, lastText }) => [id, kind, behind, lastText])).toEqual([
      [SELF, 'self', undefined, undefined],
      ['near', 'peer', undefined, 'block'],
      ['other', 'peer', undefined, 'node_status'],
      ['far', 'author', 'near', 'block 3'],
    ]);
    expect(linksOf(nodes)).toEqual([
      { source: 'near', target: SELF },
      { source: 'other', target: SELF },
      { source: 'far', target: 'near' },
    ]);
  });

  test('drops authors whose peer left, and keeps a bounded number of them', () => {
    const graph = new NetworkGraph();
    graph.setPeers(peers);
    for (let i = 0; i < 500; i += 1) graph.note(event({ peerId: `author-${i}`, receivedFrom: 'near' }));
    expect(graph.nodes('us')).toHaveLength(1 + 2 + 42);
    graph.setPeers([]);
    expect(graph.nodes('us').map(({ id }) => id)).toEqual([SELF]);
  });
});
