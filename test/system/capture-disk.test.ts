// A full disk costs the capture records, which are counted, and the node nothing; when there is room again, the capture
// goes on in the same file.
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { captureFiles, recordsOf } from '../../src/capture/capture-files.ts';
import { FullDisk } from '../support/full-disk.ts';
import { GoPeer } from '../support/go-peer.ts';
import { allTopics, PSK, privateNetwork, topicsOf } from '../support/network.ts';
import { ServerProcess } from '../support/server-process.ts';
import { waitFor } from '../support/wait.ts';

const topics = topicsOf('mainnet');
let disk: FullDisk;
let server: ServerProcess;
let peer: GoPeer;

beforeAll(async () => {
  disk = FullDisk.mount(8);
  server = await ServerProcess.start({
    settings: { ...privateNetwork('mainnet'), p2p_capture_file: join(disk.folder, 'capture'), p2p_author_rate: '0' },
  });
  peer = await GoPeer.start({ psk: PSK, topics: allTopics('mainnet'), allow: [server.peerId] });
  await peer.connect(server.address);
  await waitFor(async () => (await peer.mesh()).mesh[topics.subtree]?.includes(server.peerId) === true, {
    what: 'the mesh',
  });
});

afterAll(async () => {
  await Promise.all([peer?.stop(), server?.stop()]);
  disk?.unmount();
});

test('a capture survives a full disk, and says what is missing', async () => {
  const written = () => server.metric('teranode_p2p_capture_records_total');
  const lost = () => server.metric('teranode_p2p_capture_dropped_total', 'reason="disk"');
  const heard = () => server.metric('teranode_p2p_gossip_messages_total', 'topic="subtree"', 'processed');
  const said = (event: string) => server.output.json.some((line) => line.event === event);
  const some = () => peer.publishMany({ topic: topics.subtree, subtrees: 200, ratePerSecond: 1000 });
  await some();
  await waitFor(async () => (await written()) > 200, { what: 'records on the disk' });
  disk.fill();
  const before = await heard();
  await some();
  await waitFor(async () => (await lost()) > 0 && (await heard()) >= before + 200, { what: 'dropped records' });
  expect(said('failed to write the capture file, records are dropped')).toBe(true);
  disk.free();
  const missing = await lost();
  await waitFor(
    async () => {
      await some();
      return said('writing the capture file again');
    },
    { what: 'the capture to go on' },
  );
  await some();
  const least = await written();
  await waitFor(async () => (await written()) > least, { what: 'further records' });
  await server.stop();
  const records = [...recordsOf(captureFiles(join(disk.folder, 'capture')))].map(({ record }) => record);
  expect(records.at(-1)?.type).toBe('end');
  const gap = records.find((record) => record.type === 'gap');
  expect(gap?.type === 'gap' && gap.records).toBeGreaterThanOrEqual(missing);
  expect(readFileSync(join(disk.folder, 'capture')).length).toBeGreaterThan(100_000);
});
