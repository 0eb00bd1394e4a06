import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net';
import { buffer } from 'node:stream/consumers';
import { afterEach, expect, test } from 'vitest';
import { MAX_HELD_BYTES, Relay } from '../../../src/cli/devnet/relay.ts';
import { waitFor } from '../../support/wait.ts';

const running: { stop(): void }[] = [];

afterEach(() => {
  for (const each of running.splice(0)) each.stop();
});

/** A server on loopback with what its clients sent. */
async function target(serve: (socket: Socket) => void): Promise<number> {
  const sockets: Socket[] = [];
  const server: Server = createServer({ allowHalfOpen: true }, (socket) => {
    sockets.push(socket);
    socket.on('error', () => {});
    serve(socket);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  running.push({
    stop: () => {
      for (const socket of sockets) socket.destroy();
      server.close();
    },
  });
  return (server.address() as AddressInfo).port;
}

async function relayTo(port: number | undefined): Promise<{ relay: Relay; open: () => Socket }> {
  const relay = new Relay({ listenIp: '127.1.1.2', fromIp: '127.1.2.1', targetPort: () => port });
  const relayPort = await relay.listen();
  running.push(relay);
  const open = () => {
    const socket = connect({ port: relayPort, host: '127.1.1.2', allowHalfOpen: true });
    socket.on('error', () => {});
    return socket;
  };
  return { relay, open };
}

/** However it ended. */
function closed(socket: Socket): Promise<void> {
  return new Promise((resolve) => socket.once('close', () => resolve()));
}

test('a relay carries bytes and ends in both directions, and the target sees the address of the link', async () => {
  const seen: (string | undefined)[] = [];
  const port = await target(async (socket) => {
    seen.push(socket.remoteAddress);
    socket.end(Buffer.concat([Buffer.from('answer to '), await buffer(socket)]));
  });
  const { open } = await relayTo(port);
  const client = open();
  client.end('a question');
  expect((await buffer(client)).toString()).toBe('answer to a question');
  expect(seen).toEqual(['127.1.2.1']);
});

test('a cut relay ends open connections and new ones, and a restored one carries again', async () => {
  const { relay, open } = await relayTo(await target((socket) => socket.pipe(socket)));
  const client = open();
  client.write('before');
  expect(String((await once(client, 'data'))[0])).toBe('before');

  const ended = closed(client);
  relay.setCut(true);
  await ended;
  await closed(open());

  relay.setCut(false);
  const again = open();
  again.write('after');
  expect(String((await once(again, 'data'))[0])).toBe('after');
  again.destroy();
});

test('a delayed relay hands on nothing early, and everything in order', async () => {
  const { relay, open } = await relayTo(await target((socket) => socket.pipe(socket)));
  const delayMs = 150;
  relay.setDelay(delayMs);
  const client = open();
  const sinceMs = performance.now();
  const pieces = Array.from({ length: 50 }, (_, i) => `${i},`);
  for (const piece of pieces) client.write(piece);
  client.end();
  let firstMs = 0;
  client.once('data', () => {
    firstMs = performance.now() - sinceMs;
  });
  expect((await buffer(client)).toString()).toBe(pieces.join(''));
  expect(firstMs).toBeGreaterThanOrEqual(2 * delayMs - 2);
});

test('a relay whose target reads nothing lets the sender wait and keeps a bounded amount', async () => {
  let received: Socket | undefined;
  const port = await target((socket) => {
    socket.pause();
    received = socket;
  });
  const { open } = await relayTo(port);
  const client = open();
  const piece = Buffer.alloc(64 * 1024, 'x');
  const total = 16 * MAX_HELD_BYTES;
  let sent = 0;
  const send = () => {
    while (sent < total) {
      sent += piece.byteLength;
      if (!client.write(piece)) {
        client.once('drain', send);
        return;
      }
    }
    client.end();
  };
  send();
  const socket = await waitFor(() => received, { what: 'a connection to the target' });
  // What the system keeps for the sockets comes on top.
  let before = -1;
  await waitFor(
    () => {
      const stands = client.bytesWritten === before;
      before = client.bytesWritten;
      return stands;
    },
    { what: 'the sender to wait' },
  );
  expect(sent).toBeLessThan(total);
  expect((await buffer(socket)).byteLength).toBe(total);
});

test('a relay without a target closes connections at once', async () => {
  const { open } = await relayTo(undefined);
  await closed(open());
});
