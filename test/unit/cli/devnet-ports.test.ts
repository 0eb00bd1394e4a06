import { once } from 'node:events';
import { type AddressInfo, createServer } from 'node:net';
import { expect, test } from 'vitest';
import { freePorts } from '../../../src/cli/devnet/ports.ts';

test('a port that is taken is passed over, unless it was asked for', async () => {
  const other = createServer().listen(0, '127.0.0.1');
  await once(other, 'listening');
  const { port } = other.address() as AddressInfo;
  try {
    const found = await freePorts(port, 2);
    expect(found[0]).toBeGreaterThan(port);
    expect(found[1]).toBeGreaterThan(found[0] ?? 0);
    await expect(freePorts(port, 2, { isExact: true })).rejects.toThrow(`port ${port} is taken`);
  } finally {
    other.close();
  }
});
