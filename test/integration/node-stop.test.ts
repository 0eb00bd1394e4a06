// A node that is stopped while it starts.
import { connect } from 'node:net';
import { expect, test } from 'vitest';
import { freePort } from '../support/kafka-broker.ts';
import { makeNode, TOPICS } from '../support/nodes.ts';

async function accepts(port: number): Promise<boolean> {
  return await new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1');
    socket.once('connect', () => {
      socket.destroy();
      resolve(true);
    });
    socket.once('error', () => resolve(false));
  });
}

test('a node that is stopped during its start listens on nothing once both have settled', async () => {
  const port = await freePort();
  const { node } = await makeNode({ port });
  const starting = node.start(new AbortController().signal, undefined, TOPICS);
  await Promise.all([node.stop(), expect(starting).rejects.toMatchObject({ code: 'NODE_NOT_STARTED' })]);
  expect(node.listenAddresses()).toEqual([]);
  expect(await accepts(port)).toBe(false);
});
