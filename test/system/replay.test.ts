// A capture of a real node between real peers, with a liar, a flood, reports of validation through a real broker, and
// orders of an operator: its file alone, in another folder, replays to the same decisions, and other settings show what
// they would have changed.
import { copyFileSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeAll, describe, expect, test } from 'vitest';
import type { Replay } from '../../src/app/replay/replay-summary.ts';
import { encodeFrame, MAGIC, readFrames } from '../../src/capture/frame.ts';
import { admin, bannedKeys } from '../support/admin.ts';
import { temporaryFolder } from '../support/cleanup.ts';
import { runCli } from '../support/cli.ts';
import { GoPeer } from '../support/go-peer.ts';
import { KafkaBroker } from '../support/kafka-broker.ts';
import { writeTopic } from '../support/kafka-writer.ts';
import {
  allTopics,
  blockFields,
  kafkaSettings,
  mainnetHeaders,
  PSK,
  privateNetwork,
  protobufOf,
  subtreeFields,
  topicsOf,
} from '../support/network.ts';
import { ServerProcess } from '../support/server-process.ts';
import { waitFor } from '../support/wait.ts';

const topics = topicsOf('mainnet');
const headers = mainnetHeaders();
const GO = { psk: PSK, topics: allTopics('mainnet') };
const elsewhere = temporaryFolder('elsewhere');
const copy = join(elsewhere, 'copy');
let liarId = '';
let flooderId = '';
let honestId = '';

async function inMesh(peer: GoPeer, id: string): Promise<boolean> {
  const { mesh } = await peer.mesh();
  return mesh[topics.block]?.includes(id) === true && mesh[topics.subtree]?.includes(id) === true;
}

const block = (index: number, peerId: string) =>
  JSON.stringify(blockFields(headers[index] ?? Buffer.alloc(80), index, peerId));

async function replay(...args: readonly string[]): Promise<{ readonly code: number | null; readonly found: Replay }> {
  const { status: code, stdout, stderr } = await runCli(['replay', copy, '--json', ...args], {}, elsewhere);
  if (stdout === '') throw new Error(`no output: ${stderr}`);
  return { code, found: JSON.parse(stdout) as Replay };
}

/** The same capture, but for the first forged block, which is told to have been ignored. */
function withOtherDecision(capture: Buffer): Buffer {
  let isDone = false;
  const frames = [...readFrames((buffer, at) => capture.copy(buffer, 0, at))].map(({ json, blobs }) => {
    const isFirst = !isDone && json.includes('"reject","author_mismatch"');
    isDone ||= isFirst;
    return encodeFrame({ json: isFirst ? json.replace('"reject"', '"ignore"') : json, blobs }) ?? Buffer.alloc(0);
  });
  return Buffer.concat([MAGIC, ...frames]);
}

beforeAll(async () => {
  const broker = await KafkaBroker.start();
  const folder = temporaryFolder('capture');
  const server = await ServerProcess.start({
    settings: {
      ...privateNetwork('mainnet'),
      ...kafkaSettings(broker.address),
      p2p_capture_file: join(folder, 'capture'),
      p2p_author_rate: '20',
      p2p_author_burst: '200',
      p2p_allow_private_datahubs: 'true',
    },
  });
  const peers = await Promise.all([1, 2, 3].map(() => GoPeer.start({ ...GO, allow: [server.peerId] })));
  const [honest, liar, flooder] = peers as [GoPeer, GoPeer, GoPeer];
  [honestId, liarId, flooderId] = [honest.peerId, liar.peerId, flooder.peerId];
  try {
    for (const peer of peers) {
      await peer.connect(server.address);
      await waitFor(() => inMesh(peer, server.peerId), { what: 'the mesh' });
    }
    const reported = (outcome: string) => server.metric('teranode_p2p_reports_total', `outcome="${outcome}"`);
    for (let i = 1; i <= 30; i += 1) await honest.publish(topics.block, block(i, honestId));
    await honest.publish(topics.subtree, JSON.stringify(subtreeFields(honestId)));
    // Another's name, once; and a block that our own validation finds invalid.
    await liar.publish(topics.block, block(40, honestId));
    await liar.publish(topics.block, block(41, liarId));
    await waitFor(
      async () => (await server.metric('teranode_p2p_gossip_messages_total', 'topic="block"', 'processed')) === 31,
      { what: 'the blocks' },
    );
    const hash = blockFields(headers[41] ?? Buffer.alloc(80), 41, '').Hash;
    await writeTopic(broker.address, 'invalid-blocks', [protobufOf({ 1: hash, 2: 'bad' }), Buffer.from([255])]);
    await waitFor(async () => (await reported('charged')) === 1 && (await reported('undecodable')) === 1, {
      what: 'the reports',
    });
    await admin(server, 'bans', 'add', '192.0.2.7', '--for', '1h');
    await admin(server, 'bans', 'add', honestId, '--for', '1h');
    await admin(server, 'bans', 'remove', honestId);
    let next = 42;
    await waitFor(
      async () => {
        const banned = await bannedKeys(server);
        // A busy machine lets so little of a flood through that a rate is broken late.
        if (!banned.includes(flooderId) && (await flooder.publishStatus()).running === 0)
          await flooder.publishMany({ topic: topics.subtree, subtrees: 20_000, ratePerSecond: 4000 });
        if (!banned.includes(liarId)) {
          await liar.publish(topics.block, block(next, honestId));
          next += 1;
        }
        return banned.includes(flooderId) && banned.includes(liarId);
      },
      { timeoutMs: 200_000, what: 'the bans' },
    );
  } finally {
    await Promise.all([...peers, server].map((each) => each.stop()));
    await broker.stop();
  }
  copyFileSync(join(folder, 'capture'), copy);
  expect(statSync(join(folder, 'capture')).mode & 0o777).toBe(0o600);
}, 300_000);

describe('a capture of liars, floods, reports and orders', () => {
  test('replays to identical decisions from its file alone', async () => {
    const { code, found } = await replay();
    expect(found.differences).toEqual([]);
    expect(found.notes).toEqual([]);
    expect(code).toBe(0);
    expect(found).toMatchObject({ isEqual: true, differing: 0, signatures: { invalid: 0, unchecked: 0 } });
    expect(found.signatures.valid).toBeGreaterThan(1000);
    expect(found.outcome.results['block reject author_mismatch']).toBeGreaterThan(1);
    expect(found.outcome.handed.block).toBe(31);
    const banned = found.outcome.bans.map(({ key, source }) => [key, source]);
    for (const expected of [
      ['192.0.2.7', 'operator'],
      [honestId, 'operator'],
      [liarId, 'automatic'],
      [flooderId, 'automatic'],
    ])
      expect(banned).toContainEqual(expected);
    expect(found.inputs).toMatchObject({ report: 2, ban: 2, unban: 1 });
  });

  test('shows what other settings would have decided, and succeeds', async () => {
    const { code, found } = await replay(
      '--with',
      'p2p_author_rate=0',
      '--with',
      'p2p_policy_shadow_rules=author_mismatch',
    );
    expect(code).toBe(0);
    expect(found.differing).toBeGreaterThan(100);
    const [before, after] = [found.outcome, found.changed].map((each) => each?.bans.map(({ key }) => key));
    expect(before).toContain(flooderId);
    expect(after).not.toContain(flooderId);
    expect(after).not.toContain(liarId);
    const { stdout } = await runCli(['replay', copy, '--with', 'p2p_author_rate=0'], {}, elsewhere);
    expect(stdout).toMatch(new RegExp(`^ {2}- .* ${flooderId} automatic`, 'm'));
  });

  test('prints the first difference of a capture whose decisions were altered', async () => {
    const altered = join(elsewhere, 'altered');
    writeFileSync(altered, withOtherDecision(readFileSync(copy)));
    const { status, stdout } = await runCli(['replay', altered], {}, elsewhere);
    expect(status).toBe(1);
    expect(stdout).toMatch(/differs: decisions on 1 records; the first:\n {2}record \d+, .* gossip block/);
    expect(stdout).toMatch(/decided: .*result ignore author_mismatch/);
    expect(stdout).toMatch(/now {4}: .*result reject author_mismatch/);
  });

  test('holds no secret', () => {
    const text = readFileSync(copy).toString('latin1');
    expect(text).not.toContain(PSK);
    expect(text).not.toMatch(/private_key|shared_key|api_key/);
  });
});
