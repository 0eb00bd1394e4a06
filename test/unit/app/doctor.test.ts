// What doctor concludes from what it saw, in cases that a test with real peers cannot bring about at will.
import { expect, test } from 'vitest';
import { clockOfPeers, judgeClock } from '../../../src/app/doctor/clock.ts';
import { fine, unknown, wrong } from '../../../src/app/doctor/finding.ts';
import { judgeConnections } from '../../../src/app/doctor/judge-connections.ts';
import { judgeFeed } from '../../../src/app/doctor/judge-feed.ts';
import { inOrder, reportText } from '../../../src/app/doctor/report.ts';
import type { NetworkView } from '../../../src/app/doctor/view.ts';
import type { PeerId } from '../../../src/domain/ids.ts';
import type { DialState } from '../../../src/ports/diagnosis.ts';
import { loadText, MINIMAL_SETTINGS } from '../../support/settings.ts';

const PEER = '12D3KooWR7ZA55D4QgE3jgfZM5WGJsTq6WwDTLNTb7XqFaBsAsRY' as PeerId;
const ADDRESS = `/ip4/192.0.2.7/tcp/9905/p2p/${PEER}`;
const NOW = 1_700_000_000_000;
const SEEN: NetworkView = {
  ...{ by: 'node', peerId: 'own', silentForMs: 0, second: new Map(), announced: [], reachability: 'unknown' },
  ...{ dials: [], departures: [], peers: [], topics: [], clockOffsetsMs: [] },
};

function dial(changes: Partial<DialState>): DialState {
  const never = { isConnected: false, failures: 0, stage: undefined, failure: undefined };
  return { address: ADDRESS, names: [], ...never, ...changes };
}

function conclude(view: Partial<NetworkView>, text = `p2p_wire = message-bus\np2p_bootstrap_peers = ${ADDRESS}`) {
  const { settings } = loadText(`${MINIMAL_SETTINGS}\n${text}`);
  const found = judgeConnections({ ...SEEN, ...view }, settings, NOW);
  const prefix = found.find(({ name }) => name === 'prefix_and_wire') ?? unknown('prefix_and_wire', '');
  const all = [...found, ...judgeFeed({ ...SEEN, ...view }, prefix, NOW)];
  return { failed: all.filter(({ ok }) => ok === false), of: (name: string) => all.find((each) => each.name === name) };
}

test('one reachable bootstrap peer is enough, and those that fail are named', () => {
  const dead = dial({ address: `${ADDRESS}x`, failures: 3, failure: 'connection refused', stage: 'connecting' });
  const { of } = conclude({ dials: [dial({ isConnected: true }), dead] });
  expect(of('bootstrap')).toMatchObject({ ok: true, found: expect.stringContaining('connection refused (TCP)') });
});

test('a dial that has not ended when the time is over counts as unreachable', () => {
  expect(conclude({ dials: [dial({})] }).failed).toMatchObject([
    { name: 'bootstrap', found: '0 of 1 connected; no dial has ended in time' },
  ]);
});

test('a node of a public network without listed peers is told to list some; one that says none is not', () => {
  const mainnet = 'network = mainnet\np2p_wire = go-p2p\np2p_dht_public_bootstrap =';
  expect(conclude({}, mainnet).failed).toMatchObject([
    { name: 'bootstrap', advice: expect.stringContaining('mainnet') },
  ]);
  expect(conclude({}, 'network = mainnet\np2p_wire = message-bus\np2p_bootstrap_peers = none').failed).toEqual([]);
});

test('a peer that this node has banned itself is its own matter', () => {
  const failure = 'this node refuses the peer or its address (banned, or a private address)';
  const { failed } = conclude({ dials: [dial({ failure, failures: 1 })] });
  expect(failed).toMatchObject([{ name: 'hang_ups', advice: expect.stringContaining('bans list') }]);
});

test('connections that lasted, that this node closed, or of peers that came back are no hang-ups', () => {
  const departed = { peerId: PEER, address: ADDRESS, direction: 'outbound', atMs: NOW - 1000, reason: 'x' } as const;
  const lasted = { ...departed, livedMs: 60_000, closedBy: 'peer' } as const;
  const own = { ...departed, livedMs: 50, closedBy: 'node' } as const;
  expect(conclude({ departures: [lasted, own] }).failed).toEqual([]);
  const early = { ...departed, livedMs: 50, closedBy: 'peer' } as const;
  expect(conclude({ departures: [early] }).failed).toMatchObject([{ name: 'hang_ups' }]);
  const back = { peerId: PEER, agentVersion: '', protocolVersion: '', topics: ['t'], otherTopics: [] };
  const topics = [{ name: 't', subscribers: 1, mesh: 1, lastMessageMs: NOW }];
  expect(conclude({ departures: [early], peers: [back], topics }).failed).toEqual([]);
  expect(conclude({ departures: [{ ...early, atMs: NOW - 3_600_000 }] }).failed).toEqual([]);
});

test('guests that came and left soon refuse nobody, but a listed peer that does so may', () => {
  const reason = 'the peer closed the connection';
  const ended = { atMs: NOW - 1000, livedMs: 300, closedBy: 'peer', reason } as const;
  const guest = { peerId: PEER, address: ADDRESS, direction: 'inbound', ...ended } as const;
  expect(conclude({ departures: [guest] }).failed).toEqual([]);
  const dials = [dial({ isConnected: false })];
  expect(conclude({ departures: [guest], dials }).of('hang_ups')).toMatchObject({ ok: false });
});

test('peers that subscribe to nothing are told from those that subscribe to other topics', () => {
  const mute = { peerId: PEER, agentVersion: '', protocolVersion: undefined, topics: [], otherTopics: [] };
  expect(conclude({ peers: [mute], dials: [dial({ isConnected: true })] }).failed).toMatchObject([{ name: 'topics' }]);
  const other = { ...mute, otherTopics: ['teranode/bitcoin/1.0.0/mainnet-block'] };
  const { failed } = conclude({ peers: [other], dials: [dial({ isConnected: true })] });
  expect(failed).toMatchObject([
    { name: 'prefix_and_wire', advice: expect.stringContaining('= teranode/bitcoin/1.0.0/mainnet, if') },
  ]);
});

test('subscribers without a mesh are named', () => {
  const peer = { peerId: PEER, agentVersion: '', protocolVersion: '', topics: ['t'], otherTopics: [] };
  const topics = [{ name: 't', subscribers: 1, mesh: 0, lastMessageMs: NOW }];
  const { failed } = conclude({ peers: [peer], topics, dials: [dial({ isConnected: true })] });
  expect(failed).toMatchObject([{ name: 'mesh', found: expect.stringContaining('t 0') }]);
});

test('the clock is right when one source agrees, and peers count by their median', () => {
  const peers = clockOfPeers([-200, 300, 5_000_000]);
  expect(peers).toMatchObject({ what: 'node statuses of 3 peers', offsetMs: 300 });
  const hub = { what: 'Date', offsetMs: -60_000 };
  expect(judgeClock([hub])).toMatchObject({ ok: false, found: 'Date: this machine is 60 s ahead' });
  expect(judgeClock(peers === undefined ? [] : [hub, peers])).toMatchObject({ ok: true });
  expect(judgeClock([])).toMatchObject({ ok: null });
});

test('texts of peers cannot move the cursor, and the report ends with advice for what failed only', () => {
  const findings = inOrder([wrong('dns', 'a\u001b[2Jb', 'look\nthere'), fine('settings', 'x'), unknown('kafka', 'y')]);
  expect(findings.map(({ name }) => name)).toEqual(['settings', 'dns', 'kafka']);
  expect(reportText(findings)).toBe(
    [
      ...['ok      settings  x', 'NOT OK  dns       a[2Jb', '-       kafka     not found out: y'],
      ...['', 'What to do', '  dns: look there', ''],
    ].join('\n'),
  );
});
