// A listener of the library as a guest in another program: what it leaves of it, and what that program sees of it.
import { spawn } from 'node:child_process';
import { getEventListeners } from 'node:events';
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { endpoints } from '../../src/library/endpoints.ts';
import { headers } from '../../src/library/headers.ts';
import { listen } from '../../src/library/listener.ts';
import { MESSAGE_BUS } from '../../src/wire/format.ts';
import { endWithTests } from '../support/cleanup.ts';
import { DATA_HUB, headerHash, mainnetHeaders } from '../support/network.ts';
import { addressOf, BUS, makeNode } from '../support/nodes.ts';
import { COMPILE_CACHE, REPO } from '../support/repo.ts';
import { waitFor } from '../support/wait.ts';

const TOPICS = ['block', 'subtree', 'rejected_tx', 'node_status'].map(
  (name) => `teranode/bitcoin/1.0.0/mainnet-${name}`,
);
const [BLOCK_TOPIC = ''] = TOPICS;

/** A node of message-bus within this process. */
async function startPeer() {
  const { node } = await makeNode(BUS);
  onTestFinished(() => node.stop());
  await node.start(new AbortController().signal, undefined, TOPICS);
  return node;
}

test.each([
  ['listen', listen],
  ['headers', headers],
  ['endpoints', endpoints],
] as const)('%s leaves nothing on a signal that outlives it', async (_name, open) => {
  const { signal } = new AbortController();
  const opened = open('regtest', { bootstrapPeers: [], signal });
  expect(getEventListeners(signal, 'abort').length).toBeGreaterThan(0);
  await opened.close();
  expect(getEventListeners(signal, 'abort')).toEqual([]);
});

test.each([
  ['headers', headers],
  ['endpoints', endpoints],
] as const)('%s that cannot start throws into its loop and leaves nothing on the signal', async (_name, open) => {
  const { signal } = new AbortController();
  const opened = open('regtest', { bootstrapPeers: [], signal, listenAddresses: ['192.0.2.7'] });
  await expect(opened[Symbol.asyncIterator]().next()).rejects.toMatchObject({ code: 'LISTEN_FAILED' });
  await waitFor(() => getEventListeners(signal, 'abort').length === 0, { what: 'no listener of the signal' });
});

test('a listener prints nothing, ends with its loop, and leaves prototypes, globals and process listeners as they were', async () => {
  const peer = await startPeer();
  const [header] = mainnetHeaders().slice(1) as [Buffer];
  const announce = () => {
    const message = { hash: headerHash(header), height: 1, dataHubUrl: DATA_HUB, peerId: peer.hostId(), header };
    const bytes = MESSAGE_BUS.encode.block?.(message as never, 'peer') ?? new Uint8Array();
    if ((peer.getTopic(BLOCK_TOPIC)?.mesh() ?? []).length > 0) void peer.publish(BLOCK_TOPIC, bytes);
  };
  const child = spawn(process.execPath, [join(REPO, 'test/support/host-process.ts'), addressOf(peer)], {
    cwd: REPO,
    env: { ...COMPILE_CACHE, PATH: process.env.PATH ?? '' },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  endWithTests(child);
  const output: string[] = [];
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (chunk) => output.push(String(chunk)));
  const timer = setInterval(announce, 100);
  const code = await new Promise((resolve) => child.once('close', resolve));
  clearInterval(timer);
  expect(output.join('')).toBe('');
  expect(code).toBe(0);
});
