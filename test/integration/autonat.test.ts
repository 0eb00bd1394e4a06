// The real AutoNAT client, and peers that say that they reached an address where nobody listens.
import type { Connection, Stream } from '@libp2p/interface';
import { afterEach, expect, test } from 'vitest';
import type { TeranodeLibp2p } from '../../src/adapters/libp2p/libp2p-options.ts';
import { autonatControl } from '../../src/adapters/libp2p/patches/autonat.ts';
import { PatchReport } from '../../src/adapters/libp2p/patches/report.ts';
import { recordingLogger } from '../fakes/recorders.ts';
import { encodeVarint, field } from '../support/false-dht.ts';
import { BUS, bareLibp2p } from '../support/nodes.ts';
import { waitFor } from '../support/wait.ts';

const DIAL_REQUEST = '/libp2p/autonat/2/dial-request';
const CLAIMED = '/ip4/45.10.0.2/tcp/9905';

const nodes: TeranodeLibp2p[] = [];
afterEach(async () => {
  await Promise.all(nodes.splice(0).map((node) => node.stop()));
});

async function start(autonat: boolean): Promise<TeranodeLibp2p> {
  const node = await bareLibp2p([], { ...BUS, nat: { ...BUS.nat, autonat } });
  nodes.push(node);
  return node;
}

const number = (at: number, value: number) => Buffer.concat([encodeVarint(at * 8), encodeVarint(value)]);

test('a peer that says it reached an address, and did not dial back, is not believed', async () => {
  const node = await start(true);
  const log = recordingLogger();
  const control = autonatControl(node.services.autonat, new PatchReport(log));
  expect(log.lines).toEqual([]);
  let asked = 0;
  const liar = await start(false);
  await liar.handle(DIAL_REQUEST, (stream: Stream) => {
    stream.addEventListener(
      'message',
      () => {
        asked += 1;
        const response = field(2, Buffer.concat([number(1, 200), number(2, 0), number(3, 200)]));
        stream.send(Buffer.concat([encodeVarint(response.length), response]));
      },
      { once: true },
    );
  });
  await Promise.all([node.start(), liar.start()]);
  const { addressManager } = node.services.listening;
  const [port = 0] = node.services.listening.bound().map((address) => Number(address.getComponents()[1]?.value));
  addressManager.addPublicAddressMapping('127.0.0.1', port, '45.10.0.2', 9905, 'tcp');
  const [address] = liar.getMultiaddrs();
  if (address === undefined) throw new Error('the peer listens nowhere');
  const connection: Connection = await node.dial(address);
  await waitFor(() => asked > 0 || control?.ask(connection).then(() => false), { what: 'the question' });
  // Until the client counts the network of the peer among those that have answered, or believes and forgets it.
  const tested = () => control?.results(CLAIMED) as { readonly networkSegments: readonly string[] } | undefined;
  await waitFor(() => tested()?.networkSegments.length !== 0, { what: 'the answer' });
  const found = addressManager.getAddressesWithMetadata().find(({ multiaddr }) => String(multiaddr) === CLAIMED);
  expect(found?.verified).toBe(false);
  expect(control?.results(CLAIMED)).toMatchObject({ success: 0, failure: 0 });
});
