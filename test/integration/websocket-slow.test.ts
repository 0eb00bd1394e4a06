// Clients of `/p2p-ws` that read slowly or not at all: their small buffer drops the oldest frames, they learn how many,
// and others are not delayed.
import { describe, expect, test } from 'vitest';
import type { Notification } from '../../src/domain/notification.ts';
import { OWN_STATUS, type ServedHttp, serveHttp, stopHttpAfterEach, subtree } from '../support/http.ts';
import { waitFor } from '../support/wait.ts';
import { PONG, RawWebSocket, TEXT } from '../support/websocket.ts';

stopHttpAfterEach();

const BUFFER = 100;
const NEVER = 3_600_000;
/** 200 MB, which no kernel keeps for a connection. */
const MOST_FRAMES = 10_000;
const PATIENT = { noProgressMs: NEVER, behindMs: NEVER, pingMs: NEVER, checkMs: 20 };

/** 20 KB, so that the kernel's buffers are soon full; the number can be read back. */
function large(number: number): Notification {
  return { ...OWN_STATUS, isOwn: false, bestHeight: number + 1, minerName: 'm'.repeat(20_000) };
}

function numbersOf(client: RawWebSocket): number[] {
  return client
    .messages('node_status')
    .slice(1)
    .map(({ best_height: height }) => Number(height) - 1);
}

/** The close frame comes behind megabytes; on a busy machine they take more than a second. */
const TO_THE_LAST = { closeMs: 15_000 };

async function serve(times: object = {}, options: object = {}): Promise<ServedHttp> {
  return await serveHttp({
    webSocket: { maxClients: 100, bufferFrames: BUFFER, ...options, times: { ...PATIENT, ...times } },
  });
}

/** Reads 64 KiB at most every so often, until the returned function is called. */
function sip(client: RawWebSocket, everyMs: number): () => void {
  client.socket.on('data', () => client.pause());
  const sipping = setInterval(() => client.resume(), everyMs);
  return () => clearInterval(sipping);
}

/**
 * Publishes until frames were lost; the number of frames. In one go: no client reads, is looked after or is closed
 * meanwhile.
 */
function publishUntilLost(served: ServedHttp, atLeast = 1): number {
  for (let count = 0; count < MOST_FRAMES; ) {
    if (served.metrics.count('teranode_p2p_ws_frames_lost_total') >= atLeast) return count;
    // Whole batches, so that none waits to be joined.
    for (let i = 0; i < 20; i += 1) {
      served.notifications.publish(large(count));
      count += 1;
    }
  }
  throw new Error('no frames are lost');
}

async function pausedClient(address: string, path = '/p2p-ws'): Promise<RawWebSocket> {
  const client = await RawWebSocket.open(address, { path });
  await client.received(1);
  client.pause();
  return client;
}

describe('a client that does not read for a while', () => {
  test('keeps the newest frames, loses the oldest, and is closed with the number of lost frames', async () => {
    const served = await serve(TO_THE_LAST);
    const client = await pausedClient(served.address);
    const count = publishUntilLost(served, 200);
    expect(served.metrics.gaugeValue('teranode_p2p_ws_buffer_frames')).toBeLessThanOrEqual(BUFFER);
    expect(served.metrics.gaugeValue('teranode_p2p_ws_buffer_frames_bound')).toBe(BUFFER);
    client.resume();
    const { code, reason } = await client.closed();
    const seen = numbersOf(client);
    expect([code, reason]).toEqual([4008, `too slow: ${count - seen.length} frames lost`]);
    expect(seen.at(-1)).toBe(count - 1);
    expect(seen).toEqual([...seen].sort((a, b) => a - b));
    expect(served.metrics.count('teranode_p2p_ws_frames_lost_total')).toBe(count - seen.length);
    expect(gapsOf(seen)).toHaveLength(1);
  });

  test('stays connected if it subscribed to `lost`, and gets a lost frame at each gap', async () => {
    const served = await serve();
    const client = await pausedClient(served.address, '/p2p-ws?types=node_status,lost');
    const first = publishUntilLost(served);
    client.resume();
    await client.received(1, 'lost');
    await waitFor(() => numbersOf(client).at(-1) === first - 1, { what: 'the newest' });
    served.notifications.publish(large(first));
    await waitFor(() => numbersOf(client).at(-1) === first, { what: 'the next' });
    expect(client.closing()).toBeUndefined();
    expect(client.messages('lost')).toHaveLength(1);
    expect(client.texts().filter((text) => text.includes('"lost"'))).toEqual([
      `{"type":"lost","count":${first + 1 - numbersOf(client).length}}`,
    ]);
    const messages = client.messages().slice(1);
    const at = messages.findIndex(({ type }) => type === 'lost');
    const before = Number(messages[at - 1]?.best_height);
    expect(Number(messages[at + 1]?.best_height)).toBe(before + 1 + Number(messages[at]?.count));
  });

  test('the close reason has the number of lost frames when the server stops', async () => {
    const served = await serve(TO_THE_LAST);
    const client = await pausedClient(served.address, '/p2p-ws?types=node_status,lost');
    const count = publishUntilLost(served);
    const stopped = served.server.stop();
    client.resume();
    const { code, reason } = await client.closed();
    // It answers no close.
    client.socket.destroy();
    await stopped;
    expect([code, reason]).toEqual([1001, `server stopping: ${count - numbersOf(client).length} frames lost`]);
  });
});

describe('a client that never reads', () => {
  test('is closed when it makes no progress; the close reason has the number of lost frames', async () => {
    const served = await serve({ noProgressMs: 300, ...TO_THE_LAST });
    const client = await pausedClient(served.address);
    const count = publishUntilLost(served, 50);
    await waitFor(() => served.metrics.gaugeValue('teranode_p2p_ws_buffer_frames') === 0, { what: 'the end' });
    client.resume();
    const { code, reason } = await client.closed();
    const seen = numbersOf(client);
    expect(code).toBe(4008);
    expect(reason).toBe(`too slow: ${count - seen.length} frames lost`);
  });

  test('is disconnected in time even if it does not read the close frame', async () => {
    const served = await serve({ noProgressMs: 300 });
    await pausedClient(served.address);
    publishUntilLost(served);
    await waitFor(() => served.metrics.count('teranode_p2p_ws_closed_total', { reason: 'too_slow' }) === 1, {
      what: 'its end',
    });
    expect(served.metrics.count('teranode_p2p_websocket_clients_evicted_total')).toBe(1);
    expect(served.metrics.gaugeValue('teranode_p2p_ws_clients')).toBe(0);
  });

  test('is closed for unanswered pings when there is little traffic', async () => {
    const served = await serve({ pingMs: 50 });
    const client = await RawWebSocket.open(served.address, { answersPings: false });
    expect(await client.closed()).toEqual({ code: 4008, reason: 'too slow: 0 frames lost' });
  });

  test('is closed when it reads a little and does not catch up', async () => {
    const served = await serve({ behindMs: 500 });
    const client = await pausedClient(served.address);
    const stopSipping = sip(client, 30);
    const isClosed = () => served.metrics.count('teranode_p2p_ws_closed_total', { reason: 'too_slow' }) === 1;
    await waitFor(
      () => {
        for (let i = 0; i < 100; i += 1) served.notifications.publish(large(i));
        return isClosed();
      },
      { what: 'its end' },
    );
    stopSipping();
    expect(served.metrics.gaugeValue('teranode_p2p_ws_clients')).toBe(0);
  });
});

describe('a client that reads slowly and steadily', () => {
  test('is not closed, however much the kernel buffers for it, and gets every frame', async () => {
    const COUNT = 300;
    const served = await serve({ noProgressMs: 2000 }, { bufferFrames: 100_000, pingBytes: 64 * 1024 });
    const client = await pausedClient(served.address);
    // 6 MB, of which the kernel takes some at once, and then more only when a client has read a MB and a half.
    for (let i = 0; i < COUNT; i += 1) served.notifications.publish(large(i));
    const stopSipping = sip(client, 100);
    const texts = () => client.frames.filter(({ opcode }) => opcode === TEXT).length;
    await waitFor(() => texts() > COUNT || client.closing(), { timeoutMs: 25_000, what: 'the last frame' });
    stopSipping();
    expect(client.closing()).toBeUndefined();
    expect(numbersOf(client)).toEqual(Array.from({ length: COUNT }, (_each, i) => i));
    expect(served.metrics.count('teranode_p2p_ws_closed_total')).toBe(0);
  });

  test('is not simulated by pongs that answer no ping', async () => {
    const served = await serve({ noProgressMs: 500 });
    const client = await pausedClient(served.address);
    publishUntilLost(served);
    const ponging = setInterval(() => client.send({ opcode: PONG, payload: Buffer.from([0, 0, 255, 255]) }), 100);
    await waitFor(() => served.metrics.count('teranode_p2p_ws_closed_total', { reason: 'too_slow' }) === 1, {
      what: 'its end',
    });
    clearInterval(ponging);
  });
});

describe('other clients', () => {
  test('are not delayed by twenty clients that do not read: they get every frame in order and at once', async () => {
    const served = await serve();
    const fast = await RawWebSocket.open(served.address, { path: '/p2p-ws?types=subtree' });
    const slow = await Promise.all(Array.from({ length: 20 }, () => pausedClient(served.address)));
    publishUntilLost(served, 20);
    const delays: number[] = [];
    for (let i = 0; i < 100; i += 1) {
      const startMs = performance.now();
      served.notifications.publish(large(i), subtree(i));
      await fast.received(i + 1, 'subtree');
      delays.push(performance.now() - startMs);
    }
    const hashes = fast.messages('subtree').map(({ hash }) => Number.parseInt(String(hash), 16));
    expect(hashes).toEqual(Array.from({ length: 100 }, (_each, i) => i));
    expect(delays.sort((a, b) => a - b)[95]).toBeLessThan(300);
    expect(slow.every(({ isGone }) => !isGone)).toBe(true);
  });

  test('share the memory of queued frames', async () => {
    const served = await serve();
    await Promise.all(Array.from({ length: 50 }, () => pausedClient(served.address)));
    publishUntilLost(served, 50 * BUFFER);
    const before = process.memoryUsage().arrayBuffers;
    for (let i = 0; i < 2000; i += 1) {
      served.notifications.publish(large(i));
      if (i % 50 === 0) await new Promise(setImmediate);
    }
    expect(process.memoryUsage().arrayBuffers - before).toBeLessThan(64 * 1024 * 1024);
    expect(served.metrics.gaugeValue('teranode_p2p_ws_buffer_frames')).toBeLessThanOrEqual(50 * BUFFER);
  });
});

/** Numbers after which some are missing. */
function gapsOf(numbers: readonly number[]): number[] {
  return numbers.filter((number, i) => i > 0 && number !== (numbers[i - 1] ?? 0) + 1);
}
