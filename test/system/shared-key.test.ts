// A node whose p2p_shared_key is not that of the network: its operator reads why, wherever he looks.
import { afterAll, expect, test } from 'vitest';
import { runCli } from '../support/cli.ts';
import { privateNetwork } from '../support/network.ts';
import { ServerProcess } from '../support/server-process.ts';
import { waitFor } from '../support/wait.ts';

const CAUSE = 'the shared key of the peer probably differs from p2p_shared_key of this node';
const stops: (() => Promise<unknown>)[] = [];

afterAll(async () => {
  await Promise.all(stops.map((stop) => stop()));
});

test('a wrong shared key is named in the log, once a peer, and in every answer; readiness tells of no peers', async () => {
  const network = await ServerProcess.start({ settings: privateNetwork('regtest') });
  stops.push(() => network.stop());
  const { address } = network;
  const settings = { ...privateNetwork('regtest'), p2p_shared_key: 'ab'.repeat(32), p2p_static_peers: address };
  const wrong = await ServerProcess.start({ settings });
  stops.push(() => wrong.stop());

  const warnings = () =>
    wrong.output.json.filter(({ event, level }) => event === 'failed to dial peer' && level === 'warn');
  await waitFor(() => warnings().length > 0, { what: 'the warning' });
  const { status, body } = await wrong.get('/health/ready');
  expect([status, body]).toEqual([200, expect.stringContaining('peers: ok (no peer is connected')]);
  const { dataFolder } = wrong;
  expect((await runCli(['status'], { dataFolder })).stdout).toMatch(/^peers +0 \(no peer is connected/m);
  const connected = await runCli(['peers', 'connect', address], { dataFolder });
  expect(connected).toMatchObject({ status: 1, stdout: '' });
  expect(connected.stderr).toBe(`PEER_UNREACHABLE: failed to connect to the peer: ${CAUSE}\n`);
  expect(warnings()).toEqual([expect.objectContaining({ address, likelyCause: CAUSE })]);
});
