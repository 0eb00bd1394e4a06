// Patches without their parts: one line in the log, and everything else goes on.
import type { Connection, Stream } from '@libp2p/interface';
import type { KadDHT } from '@libp2p/kad-dht';
import { multiaddr } from '@multiformats/multiaddr';
import { expect, test } from 'vitest';
import { connectionGate } from '../../../src/adapters/libp2p/connections/connection-gate.ts';
import { PeerBook } from '../../../src/adapters/libp2p/connections/peer-book.ts';
import { MAX_SILENT_CHECKS, SilentConnections } from '../../../src/adapters/libp2p/connections/silent-connections.ts';
import { autonatControl } from '../../../src/adapters/libp2p/patches/autonat.ts';
import { boundDht } from '../../../src/adapters/libp2p/patches/kad-dht.ts';
import { PatchReport } from '../../../src/adapters/libp2p/patches/report.ts';
import { libPeerId } from '../../../src/adapters/libp2p/peer-ids.ts';
import { peer } from '../../fakes/ban-parts.ts';
import { FakeClock, RecordedMetrics, recordingLogger } from '../../fakes/recorders.ts';

const PATCH = { library: 'some-library', version: '1.2.3', effect: 'less is checked' };

test('a part that is missing at a thousand connections is one line, which says what it costs', () => {
  const log = recordingLogger();
  const report = new PatchReport(log);
  for (let i = 0; i < 1000; i += 1) report.notApplied(PATCH, 'stream.onData');
  report.notApplied(PATCH, 'another');
  expect(log.lines.map(({ level, event }) => [level, event])).toEqual([
    ['warn', 'libp2p patch not applied'],
    ['warn', 'libp2p patch not applied'],
  ]);
  expect(log.lines[0]?.fields).toEqual({
    library: 'some-library',
    writtenFor: '1.2.3',
    missing: 'stream.onData',
    effect: 'less is checked',
  });
});

test('a DHT stream whose bytes cannot be counted is served all the same', async () => {
  const log = recordingLogger();
  const served: unknown[] = [];
  const dht = {
    rpc: { onIncomingStream: async (stream: unknown) => served.push(stream), handleMessage: async () => undefined },
    network: { _writeReadMessage: async (stream: unknown) => served.push(stream) },
  };
  boundDht(dht as unknown as KadDHT, {
    clock: new FakeClock(),
    metrics: new RecordedMetrics(),
    report: new PatchReport(log),
  });
  const stream = {} as Stream;
  await dht.rpc.onIncomingStream.call(dht.rpc, stream, ...([{ remotePeer: peer(1) }] as unknown as []));
  await dht.network._writeReadMessage(stream);
  expect(served).toEqual([stream, stream]);
  expect(log.lines.map(({ fields }) => fields.missing)).toEqual(['stream.onData']);
});

test('a connection whose bytes are not counted is never closed for being silent', () => {
  const aborted: unknown[] = [];
  const connection = { status: 'open', abort: (error: Error) => aborted.push(error), remotePeer: peer(1) };
  const silent = new SilentConnections({ log: recordingLogger(), metrics: new RecordedMetrics() });
  silent.watch(connection as unknown as Connection, { receivedBytes: 0, isCounting: false });
  for (let i = 0; i <= MAX_SILENT_CHECKS; i += 1) silent.check();
  expect(aborted).toEqual([]);
});

test.each([
  [`/dns4/hub.example/tcp/1/p2p/${peer(1)}`, true],
  [`/ip4/192.0.2.1/tcp/1/p2p/${peer(1)}`, false],
  [`/dns4/hub.example/tcp/1/p2p/${peer(2)}/p2p-circuit`, false],
])('a connection to %s is refused because its IP is not known: %s', async (address, isRefused) => {
  const metrics = new RecordedMetrics();
  const limits = { trims: true, lowWater: 1, highWater: 10, graceMs: 0, maxPerPeer: 1 };
  const gate = connectionGate(
    { book: new PeerBook(), policy: undefined, privateAddresses: undefined, metrics, nowMs: () => 0 },
    limits,
  );
  const socket = Object.assign(new EventTarget(), { remoteAddr: multiaddr(address) });
  const end = socket as unknown as Parameters<NonNullable<typeof gate.denyInboundConnection>>[0];
  const id = libPeerId(peer(1));
  const answers = await Promise.all([
    gate.denyInboundConnection?.(end),
    gate.denyOutboundConnection?.(id, end),
    gate.denyInboundEncryptedConnection?.(id, end),
    gate.denyOutboundEncryptedConnection?.(id, end),
  ]);
  expect(answers).toEqual([isRefused, isRefused, isRefused, isRefused]);
  expect(metrics.count('teranode_p2p_connections_refused_total', { reason: 'unknown_address' })).toBe(
    isRefused ? 4 : 0,
  );
  // Before a dial the name is kept: the dialling side resolves it.
  expect(await gate.denyDialMultiaddr?.(multiaddr(address))).toBe(false);
});

test('without its private parts AutoNAT is left as it is', () => {
  const log = recordingLogger();
  const report = new PatchReport(log);
  expect(autonatControl({ client: { dialResults: new Map() } }, report)).toBeUndefined();
  expect(autonatControl({}, report)).toBeUndefined();
  expect(log.lines.map(({ fields }) => fields.library)).toEqual(['@libp2p/autonat-v2', '@libp2p/autonat-v2']);
});
