// TLS on the socket of a TCP connection and over a stream, against TLS as @libp2p/tls runs it and against peers that
// misbehave.
import { once } from 'node:events';
import { connect as connectTcp, createServer, type Server, type Socket } from 'node:net';
import { Duplex } from 'node:stream';
import { connect as connectTls, type TLSSocket } from 'node:tls';
import { generateKeyPair } from '@libp2p/crypto/keys';
import type {
  ComponentLogger,
  Connection,
  Listener,
  Logger,
  MessageStream,
  MultiaddrConnection,
  PeerId,
  PrivateKey,
  Upgrader,
} from '@libp2p/interface';
import { peerIdFromPrivateKey } from '@libp2p/peer-id';
import { tcp } from '@libp2p/tcp';
import { tls } from '@libp2p/tls';
import { generateCertificate } from '@libp2p/tls/utils';
import { multiaddr } from '@multiformats/multiaddr';
import { afterEach, beforeAll, describe, expect, test } from 'vitest';
import { meterConnection } from '../../src/adapters/libp2p/connections/connection-meter.ts';
import { PatchReport } from '../../src/adapters/libp2p/patches/report.ts';
import { SharedContext } from '../../src/adapters/libp2p/patches/tls-context.ts';
import { securedOnSocket } from '../../src/adapters/libp2p/patches/tls-patch.ts';
import { tlsOnSocket } from '../../src/adapters/libp2p/patches/tls-socket.ts';
import { tlsOverStream } from '../../src/adapters/libp2p/patches/tls-stream.ts';
import { systemClock } from '../../src/ports/clock.ts';
import { recordingLogger } from '../fakes/recorders.ts';
import { BUS, bareLibp2p } from '../support/nodes.ts';
import { waitFor } from '../support/wait.ts';

const MIB = 1024 * 1024;
/** Both socket buffers of a connection: Linux lets them grow to 4 and 32 MiB. */
const MORE_THAN_KERNELS_HOLD = 64 * MIB;
const stops: (() => unknown)[] = [];

afterEach(async () => {
  for (const stop of stops.splice(0).reverse()) await stop();
});

const quiet: Logger = Object.assign(() => {}, {
  error() {},
  trace() {},
  enabled: false,
  newScope: () => quiet,
});
const logger: ComponentLogger = { forComponent: () => quiet };

/** A TCP connection, before anything is negotiated, with what the library keeps private. */
type Tcp = MultiaddrConnection & { readonly socket: Socket; readonly readBuffer: { readonly byteLength: number } };

let keys: readonly [PrivateKey, PrivateKey];
let ids: readonly [PeerId, PeerId];

beforeAll(async () => {
  keys = [await generateKeyPair('Ed25519'), await generateKeyPair('Ed25519')];
  ids = [peerIdFromPrivateKey(keys[0]), peerIdFromPrivateKey(keys[1])];
});

const upgrader = { getStreamMuxers: () => new Map() } as unknown as Upgrader;
const log = recordingLogger();

function library(key: PrivateKey) {
  return tls()({ privateKey: key, logger, upgrader });
}

function ours(key: PrivateKey) {
  return tlsOnSocket(tls(), new PatchReport(log))({ privateKey: key, logger, upgrader });
}

function overStream(key: PrivateKey) {
  return tlsOverStream(tls())({ privateKey: key, logger, upgrader });
}

/** Listens; resolves with each connection as it comes. */
async function listening(): Promise<{ readonly address: string; readonly accepted: Promise<Tcp> }> {
  const { promise, resolve } = Promise.withResolvers<Tcp>();
  const accepting = { upgradeInbound: async (connection: Tcp) => resolve(connection) } as unknown as Upgrader;
  const listener: Listener = tcp()({ logger }).createListener({ upgrader: accepting });
  await listener.listen(multiaddr('/ip4/127.0.0.1/tcp/0'));
  stops.push(() => listener.close());
  return { address: `${listener.getAddrs()[0]}`, accepted: promise };
}

async function dialled(address: string): Promise<Tcp> {
  const dialling = { upgradeOutbound: async (connection: Tcp) => connection as unknown as Connection };
  const connection = await tcp()({ logger }).dial(multiaddr(address), {
    upgrader: dialling as unknown as Upgrader,
    // The library ends the connection with it, also when it is open: longer than a test.
    signal: AbortSignal.timeout(120_000),
  });
  const opened = connection as unknown as Tcp;
  stops.push(() => opened.abort(new Error('the test is over')));
  return opened;
}

async function pair(): Promise<{ readonly client: Tcp; readonly server: Tcp }> {
  const { address, accepted } = await listening();
  const client = await dialled(address);
  return { client, server: await accepted };
}

/** Both ends after the handshake. */
async function securedPair(make: readonly [typeof ours, typeof ours] = [ours, ours]) {
  const { client, server } = await pair();
  const [out, into] = await Promise.all([
    make[0](keys[0]).secureOutbound(client, { remotePeer: ids[1] }),
    make[1](keys[1]).secureInbound(server),
  ]);
  return { client, server, out, into };
}

/** Counts what arrives, with its sum, which tells lost and changed bytes. */
function received(stream: MessageStream) {
  const counts = { bytes: 0, sum: 0 };
  stream.addEventListener('message', ({ data }) => {
    for (const byte of data.subarray()) counts.sum += byte;
    counts.bytes += data.byteLength;
  });
  return counts;
}

function pattern(bytes: number): Uint8Array {
  return Uint8Array.from({ length: bytes }, (_, at) => at % 251);
}

/** `onDrain` of the library waits for the first time only. */
const drained = (stream: MessageStream) =>
  new Promise<unknown>((resolve) => stream.addEventListener('drain', resolve, { once: true }));

const closed = (stream: MessageStream) =>
  waitFor(() => stream.status !== 'open', { what: 'the end of the connection' });

describe('TLS on the socket', () => {
  test.each([
    ['itself', [ours, ours]],
    ['the library as the listener', [ours, library]],
    ['the library as the dialler', [library, ours]],
  ] as const)('carries messages of 1 MiB both ways with %s', async (_name, make) => {
    const { client, server, out, into } = await securedPair(make);
    expect([out.remotePeer.toString(), into.remotePeer.toString()]).toEqual([`${ids[1]}`, `${ids[0]}`]);
    expect([client, server].map((end) => securedOnSocket(end) !== undefined)).toEqual(
      make.map((each) => each === ours),
    );
    const message = pattern(MIB);
    const expected = { bytes: MIB, sum: message.reduce((a, b) => a + b, 0) };
    const counts = [received(out.connection), received(into.connection)];
    out.connection.send(message);
    into.connection.send(message);
    await waitFor(() => counts.every(({ bytes }) => bytes >= MIB), { what: 'both messages' });
    expect(counts).toEqual([expected, expected]);
    await out.connection.close();
    await closed(into.connection);
    expect(into.connection.status).toBe('closed');
    expect([client.socket.destroyed, server.socket.destroyed]).toEqual([true, true]);
  });

  test('begins with bytes that arrived before it', async () => {
    const { client, server } = await pair();
    const outbound = ours(keys[0]).secureOutbound(client);
    await waitFor(() => server.readBuffer.byteLength > 0, { what: 'the first bytes' });
    const into = await ours(keys[1]).secureInbound(server);
    const { remotePeer, connection } = await outbound;
    expect(remotePeer.toString()).toBe(`${ids[1]}`);
    const counts = received(into.connection);
    connection.send(pattern(10));
    await waitFor(() => counts.bytes === 10, { what: 'a message' });
  });

  test('stops reading the socket while the reader is paused, and loses nothing', async () => {
    const { server, out, into } = await securedPair();
    const counts = received(into.connection);
    into.connection.pause();
    const total = MORE_THAN_KERNELS_HOLD;
    const part = pattern(MIB);
    let sent = 0;
    const sendAll = async () => {
      for (; sent < total; sent += MIB) if (!out.connection.send(part)) await drained(out.connection);
    };
    const sending = sendAll();
    let last = -1;
    // Then neither side moves.
    await waitFor(
      () => {
        const before = last;
        last = server.socket.bytesRead;
        return sent > MIB && last === before;
      },
      { what: 'a standstill' },
    );
    expect(server.socket.bytesRead).toBeLessThan(MIB);
    expect(sent).toBeLessThan(total);
    expect(counts.bytes).toBe(0);
    into.connection.resume();
    await sending;
    await waitFor(() => counts.bytes === total, { what: 'everything' });
    expect(counts.sum).toBe((total / MIB) * part.reduce((a, b) => a + b, 0));
  });

  test('refuses a peer with another identity, on both sides', async () => {
    const { client, server } = await pair();
    const inbound = ours(keys[1])
      .secureInbound(server)
      .then(
        ({ connection }) => closed(connection),
        () => {},
      );
    const outbound = ours(keys[0]).secureOutbound(client, { remotePeer: ids[0] });
    await expect(outbound).rejects.toMatchObject({ name: 'UnexpectedPeerError' });
    await inbound;
    expect(client.status).toBe('aborted');
    await waitFor(() => client.socket.destroyed && server.socket.destroyed, { what: 'the end of the sockets' });
  });

  test.each(['no certificate', 'no TLS'])('refuses a peer with %s', async (what) => {
    const { address, accepted } = await listening();
    const socket = connectTcp({ port: portOf(address), host: '127.0.0.1' });
    socket.on('error', () => {});
    const inbound = ours(keys[1]).secureInbound(await accepted);
    if (what === 'no TLS') socket.write('GET / HTTP/1.1\r\n\r\n');
    else connectTls({ socket, rejectUnauthorized: false, ALPNProtocols: ['libp2p'] }).on('error', () => {});
    await expect(inbound).rejects.toThrow();
    await waitFor(() => socket.destroyed, { what: 'the end of the socket' });
  });

  test('ends a handshake that its signal aborts, and the socket with it', async () => {
    const server = await silentServer();
    const client = await dialled(`/ip4/127.0.0.1/tcp/${server.port}`);
    const controller = new AbortController();
    const outbound = ours(keys[0]).secureOutbound(client, { signal: controller.signal });
    await waitFor(() => server.received() > 0, { what: 'the first bytes of TLS' });
    controller.abort();
    await expect(outbound).rejects.toThrow('Handshake timeout');
    expect(client.socket.destroyed).toBe(true);
    await waitFor(() => server.open() === 0, { what: 'the end of the connection' });
  });

  test('fails at once when the peer closes during the handshake', async () => {
    const server = await silentServer();
    const client = await dialled(`/ip4/127.0.0.1/tcp/${server.port}`);
    const outbound = ours(keys[0]).secureOutbound(client);
    await waitFor(() => server.received() > 0, { what: 'the first bytes of TLS' });
    server.close();
    await expect(outbound).rejects.toThrow();
    expect(client.socket.destroyed).toBe(true);
  });

  test.each(['the connection', 'its stream'])('resets TCP when %s is aborted', async (what) => {
    const { client, server, out, into } = await securedPair();
    // A reset that meets the end of the handshake may look like a clean end.
    const counts = [received(out.connection), received(into.connection)];
    out.connection.send(pattern(1));
    into.connection.send(pattern(1));
    await waitFor(() => counts.every(({ bytes }) => bytes === 1), { what: 'a byte each way' });
    (what === 'its stream' ? out.connection : client).abort(new Error('banned'));
    expect(client.socket.destroyed).toBe(true);
    await waitFor(() => server.socket.destroyed, { what: 'the reset' });
    await closed(into.connection);
    // A clean end would be "closed".
    expect([out.connection.status, into.connection.status]).toEqual(['aborted', 'aborted']);
  });

  test('is closed by force when the peer does not read what is left to send', async () => {
    const { client, server, out, into } = await securedPair();
    into.connection.pause();
    received(into.connection);
    out.connection.send(Buffer.alloc(MORE_THAN_KERNELS_HOLD));
    const deadline = new AbortController();
    const closing = client.close({ signal: deadline.signal });
    setImmediate(() => deadline.abort());
    await expect(closing).rejects.toThrow();
    expect(client.socket.destroyed).toBe(false);
    client.abort(new Error('the deadline of the close'));
    expect(client.socket.destroyed).toBe(true);
    await once(client.socket, 'close');
    server.abort(new Error('the test is over'));
  });

  test.each(['abort', 'destroy', 'close', 'stream'])(
    'survives an end by %s at any moment of a write: Node.js crashes when TLS is destroyed while its socket closes',
    async (how) => {
      const part = pattern(MIB);
      for (let at = 0; at < 20; at += 1) {
        const { client, server, out, into } = await securedPair();
        received(into.connection);
        if (at % 2 === 0) into.connection.send(part);
        out.connection.send(part);
        for (let turns = 0; turns < at % 5; turns += 1) await new Promise((resolve) => setImmediate(resolve));
        out.connection.send(part);
        const error = new Error('the end');
        if (how === 'abort') client.abort(error);
        if (how === 'stream') out.connection.abort(error);
        if (how === 'close') client.close().catch(() => {});
        if (how === 'destroy') {
          client.socket.destroy();
          out.connection.abort(error);
        }
        server.abort(error);
        client.abort(error);
        await waitFor(() => client.socket.destroyed && server.socket.destroyed, { what: 'the end of the sockets' });
      }
    },
  );

  test('sends what is left before it closes', async () => {
    const { client, out, into } = await securedPair();
    const counts = received(into.connection);
    out.connection.send(pattern(4 * MIB));
    await waitFor(() => (out.connection as { writeBufferLength?: number }).writeBufferLength === 0, { what: 'TLS' });
    await client.close();
    await waitFor(() => counts.bytes === 4 * MIB, { what: 'all bytes' });
  });

  test('is left to the library while the socket has something to send', async () => {
    const { client, server } = await pair();
    server.pause();
    client.socket.write(Buffer.alloc(MORE_THAN_KERNELS_HOLD));
    expect(client.socket.writableLength).toBeGreaterThan(0);
    const outbound = ours(keys[0]).secureOutbound(client);
    const refused = outbound.then(
      () => 'secured',
      () => 'refused',
    );
    await waitFor(() => client.socket.listenerCount('data') === 1 && client.listenerCount('message') > 0, {
      what: 'the TLS of the library',
    });
    expect(securedOnSocket(client)).toBeUndefined();
    server.abort(new Error('the test is over'));
    expect(await refused).toBe('refused');
  });

  test.each(['socket', 'readBuffer', 'writeBuffer', 'sendClose', 'sendReset'])(
    'is left to the library when a connection has no %s, which the log names',
    async (part) => {
      const { client, server } = await pair();
      const before = log.lines.length;
      const own = Object.getOwnPropertyDescriptor(client, part);
      Object.defineProperty(client, part, { configurable: true, writable: true, value: undefined });
      const outbound = ours(keys[0]).secureOutbound(client);
      // Shown again to the library.
      if (own === undefined) Reflect.deleteProperty(client, part);
      else Object.defineProperty(client, part, own);
      const [out] = await Promise.all([outbound, ours(keys[1]).secureInbound(server)]);
      expect(out.remotePeer.toString()).toBe(`${ids[1]}`);
      expect(securedOnSocket(client)).toBeUndefined();
      const [line, ...more] = log.lines.slice(before);
      expect(line).toMatchObject({ event: 'libp2p patch not applied' });
      expect(`${line?.fields.missing}`).toContain(`maConn.${part}`);
      expect(more).toEqual([]);
    },
  );
});

function portOf(address: string): number {
  return Number(address.split('/')[4]);
}

/** Accepts TCP connections and says nothing. */
async function silentServer() {
  const sockets = new Set<Socket>();
  let bytes = 0;
  const server: Server = createServer((socket) => {
    sockets.add(socket);
    socket.on('data', (data) => {
      bytes += data.byteLength;
    });
    socket.on('error', () => {});
    socket.on('close', () => sockets.delete(socket));
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const close = () => {
    for (const socket of sockets) socket.destroy();
  };
  stops.push(() => {
    close();
    server.close();
  });
  const { port } = server.address() as { port: number };
  return { port, received: () => bytes, open: () => sockets.size, close };
}

describe('TLS over a stream', () => {
  test.each([
    ['itself', [overStream, overStream]],
    ['the library as the listener', [overStream, library]],
    ['the library as the dialler', [library, overStream]],
  ] as const)('carries messages of 1 MiB both ways with %s', async (_name, make) => {
    const { client, server, out, into } = await securedPair(make);
    expect([out.remotePeer.toString(), into.remotePeer.toString()]).toEqual([`${ids[1]}`, `${ids[0]}`]);
    const message = pattern(MIB);
    const expected = { bytes: MIB, sum: message.reduce((a, b) => a + b, 0) };
    const counts = [received(out.connection), received(into.connection)];
    out.connection.send(message);
    into.connection.send(message);
    await waitFor(() => counts.every(({ bytes }) => bytes >= MIB), { what: 'both messages' });
    expect(counts).toEqual([expected, expected]);
    await out.connection.close();
    await closed(into.connection);
    await waitFor(() => client.socket.destroyed && server.socket.destroyed, { what: 'the end of the sockets' });
  });

  test('refuses a peer with another identity, and ends the connection on both sides', async () => {
    const { client, server } = await pair();
    const inbound = overStream(keys[1])
      .secureInbound(server)
      .then(
        ({ connection }) => closed(connection),
        () => {},
      );
    const outbound = overStream(keys[0]).secureOutbound(client, { remotePeer: ids[0] });
    await expect(outbound).rejects.toMatchObject({ name: 'UnexpectedPeerError' });
    await inbound;
    await waitFor(() => client.socket.destroyed && server.socket.destroyed, { what: 'the end of the sockets' });
  });

  test.each(['no certificate', 'no TLS'])('refuses a peer with %s', async (what) => {
    const { address, accepted } = await listening();
    const socket = connectTcp({ port: portOf(address), host: '127.0.0.1' });
    socket.on('error', () => {});
    const inbound = overStream(keys[1]).secureInbound(await accepted);
    if (what === 'no TLS') socket.write('GET / HTTP/1.1\r\n\r\n');
    else connectTls({ socket, rejectUnauthorized: false, ALPNProtocols: ['libp2p'] }).on('error', () => {});
    await expect(inbound).rejects.toThrow();
    await waitFor(() => socket.destroyed, { what: 'the end of the socket' });
  });

  test('ends a handshake that its signal aborts, and the socket with it', async () => {
    const server = await silentServer();
    const client = await dialled(`/ip4/127.0.0.1/tcp/${server.port}`);
    const controller = new AbortController();
    const outbound = overStream(keys[0]).secureOutbound(client, { signal: controller.signal });
    await waitFor(() => server.received() > 0, { what: 'the first bytes of TLS' });
    controller.abort();
    await expect(outbound).rejects.toThrow('Handshake timeout');
    await waitFor(() => client.socket.destroyed && server.open() === 0, { what: 'the end of the connection' });
  });
});

describe('the certificate', () => {
  test.each([
    ['on the socket', ours],
    ['over a stream', overStream],
  ] as const)(
    '%s is the same for each peer, and a peer that offers an earlier session makes a new handshake',
    async (_name, make) => {
      const encrypter = make(keys[1]);
      const own = await generateCertificate(keys[0]);
      const meet = async (session?: Buffer) => {
        const { address, accepted } = await listening();
        const options = { ...own, rejectUnauthorized: false, ALPNProtocols: ['libp2p'], ...(session && { session }) };
        const client = connectTls({ ...options, port: portOf(address), host: '127.0.0.1' });
        stops.push(() => client.destroy());
        const ticket = new Promise<Buffer>((resolve) => client.once('session', resolve));
        client.on('error', () => {});
        const { remotePeer } = await encrypter.secureInbound(await accepted);
        expect(`${remotePeer}`).toBe(`${ids[0]}`);
        const { fingerprint256 } = client.getPeerCertificate();
        return { fingerprint256, isResumed: client.isSessionReused(), ticket };
      };
      const first = await meet();
      const second = await meet();
      expect(first.fingerprint256).toMatch(/^[0-9A-F:]{95}$/);
      expect(second.fingerprint256).toBe(first.fingerprint256);
      const again = await meet(await first.ticket);
      expect(again).toMatchObject({ fingerprint256: first.fingerprint256, isResumed: false });
    },
  );

  test('is made anew after an hour, when the clock was set back, and when it could not be made', async () => {
    let nowMs = Date.now();
    let fails = true;
    const key = new Proxy(keys[0], {
      get: (target, name) => {
        if (name === 'sign' && fails) return () => Promise.reject(new Error('no signature'));
        const value: unknown = Reflect.get(target, name);
        return typeof value === 'function' ? value.bind(target) : value;
      },
    });
    const shared = new SharedContext(key, () => nowMs);
    await expect(shared.get()).rejects.toThrow('no signature');
    fails = false;
    const first = await shared.get();
    nowMs += 3_600_000;
    expect(await shared.get()).toBe(first);
    nowMs += 1;
    const second = await shared.get();
    expect(second).not.toBe(first);
    nowMs -= 1;
    expect(await shared.get()).not.toBe(second);
  });
});

describe('a node without a shared key', () => {
  async function node(nat: Partial<typeof BUS.nat | { relayService: boolean }> = {}) {
    const started = await bareLibp2p([], { ...BUS, nat: { ...BUS.nat, ...nat } });
    stops.push(() => started.stop());
    await started.start();
    return started;
  }

  const socketOf = (connection: Connection) =>
    securedOnSocket((connection as unknown as { readonly maConn: object }).maConn)?.socket;

  test('agrees on the muxer within the handshake, and runs TLS on the socket at both ends', async () => {
    const [a, b] = [await node(), await node()];
    const connection = await a.dial(b.getMultiaddrs());
    expect(connection).toMatchObject({ encryption: '/tls/1.0.0', multiplexer: '/yamux/1.0.0' });
    await waitFor(() => b.getConnections().length === 1, { what: 'the other end' });
    expect([connection, ...b.getConnections()].map((each) => socketOf(each) !== undefined)).toEqual([true, true]);
  });

  test('counts what passes the socket, with what TLS adds', async () => {
    const [a, b] = [await node(), await node()];
    const connection = await a.dial(b.getMultiaddrs());
    const socket = socketOf(connection);
    const report = new PatchReport(log);
    const before = { sent: socket?.bytesWritten ?? 0, received: socket?.bytesRead ?? 0 };
    const meter = meterConnection(connection, systemClock, report);
    expect(meter.isCounting).toBe(true);
    await a.services.ping.ping(b.peerId);
    await waitFor(() => meter.receivedBytes > 0 && meter.sentBytes > 0, { what: 'bytes' });
    expect(meter.receivedBytes).toBe((socket?.bytesRead ?? 0) - before.received);
    expect(meter.sentBytes).toBeGreaterThan(64);
    expect(meter.sentBytes).toBeLessThanOrEqual((socket?.bytesWritten ?? 0) - before.sent);
    expect([meter.lastSendMs, meter.lastReceiveMs]).toEqual([expect.any(Number), expect.any(Number)]);
  });

  test('runs TLS as the library does over a relay', async () => {
    const relay = await node({ relayService: true });
    const listener = await node();
    await listener.dial(relay.getMultiaddrs());
    const [at] = relay.getMultiaddrs();
    const circuit = multiaddr(`${at}/p2p-circuit`);
    const { components } = listener as unknown as {
      components: { transportManager: { listen(addresses: readonly unknown[]): Promise<void> } };
    };
    await components.transportManager.listen([circuit]);
    const dialler = await node();
    const connection = await dialler.dial(multiaddr(`${circuit}/p2p/${listener.peerId}`));
    expect(connection.encryption).toBe('/tls/1.0.0');
    expect(`${connection.remoteAddr}`).toContain('/p2p-circuit');
    expect(socketOf(connection)).toBeUndefined();
    await dialler.services.ping.ping(listener.peerId);
  });

  test('closes its sockets within the deadline of a stop', async () => {
    const [a, b] = [await node(), await node()];
    const socket = socketOf(await a.dial(b.getMultiaddrs()));
    await a.stop();
    expect(socket?.destroyed).toBe(true);
    await waitFor(() => b.getConnections().length === 0, { what: 'the end at the other side' });
  });

  test.each([
    ['in one segment with the end of the negotiation', 1_000_000],
    ['in segments of seven bytes', 7],
  ])('accepts TLS that arrives %s', async (_how, segmentBytes) => {
    const b = await node();
    const [address] = b.getMultiaddrs();
    const negotiation = Buffer.from('\x13/multistream/1.0.0\n\x0b/tls/1.0.0\n');
    const raw = connectTcp({ port: portOf(`${address}`), host: '127.0.0.1', noDelay: true });
    stops.push(() => raw.destroy());
    const client: TLSSocket = connectTls({
      socket: impatient(raw, negotiation, segmentBytes),
      ...(await generateCertificate(keys[0])),
      rejectUnauthorized: false,
      ALPNProtocols: ['/yamux/1.0.0', 'libp2p'],
    });
    client.on('error', () => {});
    await waitFor(() => b.getConnections().length === 1, { what: 'the connection' });
    const [connection] = b.getConnections();
    expect(connection?.remotePeer.toString()).toBe(`${ids[0]}`);
    expect(connection && socketOf(connection)).toBeDefined();
    expect(client.alpnProtocol).toBe('/yamux/1.0.0');
  });
});

/**
 * A stream to a listener that sends the whole negotiation together with what comes first, and drops the answer, which
 * has as many bytes.
 */
function impatient(raw: Socket, negotiation: Buffer, segmentBytes: number): Duplex {
  let toSend: Buffer | undefined = negotiation;
  let toDrop = negotiation.byteLength;
  const duplex = new Duplex({
    write(chunk: Buffer, _encoding, done) {
      const bytes = toSend === undefined ? chunk : Buffer.concat([toSend, chunk]);
      toSend = undefined;
      const next = (from: number): void => {
        if (from >= bytes.byteLength) done();
        else raw.write(bytes.subarray(from, from + segmentBytes), () => setImmediate(next, from + segmentBytes));
      };
      next(0);
    },
    read() {},
  });
  raw.on('data', (data) => {
    const rest = data.subarray(toDrop);
    toDrop -= data.byteLength - rest.byteLength;
    if (rest.byteLength > 0) duplex.push(rest);
  });
  raw.on('close', () => duplex.destroy());
  return duplex;
}
