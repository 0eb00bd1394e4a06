// What peers say about tests of our addresses, and what of it is believed.
import type { Connection, Stream } from '@libp2p/interface';
import { multiaddr } from '@multiformats/multiaddr';
import { expect, test, vi } from 'vitest';
import { autonatControl } from '../../../src/adapters/libp2p/patches/autonat.ts';
import { PatchReport } from '../../../src/adapters/libp2p/patches/report.ts';
import { recordingLogger } from '../../fakes/recorders.ts';

const NONCE = 7n;

/** The client of the library, as far as it is patched: the peer says that it has reached the address. */
function patchedClient(dialsBackOver: Connection | undefined) {
  const results = { success: 0, failure: 0 };
  const confirmed = vi.fn();
  const client = {
    nonces: new Set([NONCE]),
    dialResults: new Map([['address', results]]),
    verifyExternalAddresses: async () => {},
    confirmAddress: confirmed,
    async handleDialBackStream() {
      this.nonces.delete(NONCE);
    },
    async askPeerToVerify(..._args: unknown[]) {
      if (dialsBackOver !== undefined)
        await client.handleDialBackStream.call(client, ...([STREAM, dialsBackOver] as unknown as []));
      results.success += 1;
      this.confirmAddress(results);
    },
  };
  autonatControl({ client }, new PatchReport(recordingLogger()));
  return { client, results, confirmed };
}

const STREAM = { abort: () => {} } as unknown as Stream;
const over = (direction: string, address: string) =>
  ({ direction, remoteAddr: multiaddr(address) }) as unknown as Connection;
const RELAYED = '/ip4/11.1.0.1/tcp/1/p2p/12D3KooWDsRPXvXXUJoK3MpZL5ENQsHarF8Rk6J96CFet6uJGxvu/p2p-circuit';

test.each([
  ['nothing', undefined, false],
  ['our own connection to it', over('outbound', '/ip4/11.1.0.1/tcp/1'), false],
  ['a relay', over('inbound', RELAYED), false],
  ['a connection that it opened', over('inbound', '/ip4/11.1.0.1/tcp/1'), true],
])('an address is reached when the peer dials back over %s: %s', async (_what, connection, isBelieved) => {
  const { client, results, confirmed } = patchedClient(connection);
  await client.askPeerToVerify(over('outbound', '/ip4/11.1.0.1/tcp/1'), '011', NONCE, {});
  expect(confirmed).toHaveBeenCalledTimes(isBelieved ? 1 : 0);
  expect(results.success).toBe(isBelieved ? 1 : 0);
});
