// Random stories on a whole server: what it captures replays to the same decisions, whatever came in.
import { copyFileSync, existsSync, readFileSync, statSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { replayCapture } from '../../src/app/replay/replay.ts';
import { P2PError } from '../../src/lib/errors.ts';
import { type CapturingOptions, CapturingServer, newAuthors, seeded } from '../support/capturing-server.ts';
import { temporaryFolder } from '../support/cleanup.ts';

async function captured(options: CapturingOptions, steps: number): Promise<string> {
  const server = await CapturingServer.start(options);
  try {
    await server.play(steps);
  } finally {
    await server.stop();
  }
  return server.file;
}

function alone(file: string): string {
  const copy = join(temporaryFolder('alone'), 'copy');
  copyFileSync(file, copy);
  return copy;
}

async function failure(file: string): Promise<P2PError> {
  const error = await replayCapture(file).then(
    () => undefined,
    (thrown: unknown) => thrown,
  );
  if (!(error instanceof P2PError)) throw new Error(`not refused: ${error}`);
  return error;
}

describe.each(['go-p2p', 'message-bus', 'both'] as const)('a capture on %s', (wire) => {
  test.each([1, 2, 3])('replays to the same decisions, with seed %i', async (seed) => {
    const found = await replayCapture(alone(await captured({ wire, seed }, 2000)));
    expect(found.differences).toEqual([]);
    expect(found).toMatchObject({ isEqual: true, notes: [], signatures: { invalid: 0, unchecked: 0 } });
    expect(found.inputs.gossip).toBeGreaterThan(1000);
    expect(found.inputs.report).toBeGreaterThan(50);
    expect(found.inputs.tick).toBeGreaterThan(1);
    expect(found.outcome.banCount).toBeGreaterThan(5);
    expect(found.outcome.offences).toBeGreaterThan(20);
    expect(found.outcome.cut).toBeGreaterThan(0);
  });
});

test.each([
  ['wires whose topics have the same names', 'both', { chainCfgParams_topicPrefix: 'bitcoin/same' }],
  ['further topic prefixes on one node', 'message-bus', { p2p_further_topic_prefixes: 'bitcoin/a|bitcoin/b' }],
] as const)('a capture of %s replays to the same decisions', async (_name, wire, settings) => {
  const found = await replayCapture(alone(await captured({ wire, seed: 61, settings }, 2000)));
  expect(found).toMatchObject({ differences: [], isEqual: true, notes: [] });
  expect(Object.keys(found.outcome.results).join()).toContain('accept other_prefix');
});

test('a capture of a restarted node begins with its bans, scores, addresses and histories', async () => {
  const [dataFolder, authors] = [temporaryFolder('restarted'), newAuthors()];
  for (const wire of ['go-p2p', 'message-bus'] as const) {
    const options = { wire, dataFolder, authors, settings: { p2p_ban_threshold: '200' } };
    await captured({ ...options, seed: 41 }, 600);
    const found = await replayCapture(alone(await captured({ ...options, seed: 42 }, 600)));
    expect(found).toMatchObject({ differences: [], isEqual: true, notes: [] });
    // A peer that was banned before is not heard.
    expect(Object.keys(found.outcome.results).join()).toContain('ignore banned_author');
  }
});

test('announcements that never reach Kafka count as not handed on, then and now', async () => {
  const nowhere = 'kafka://127.0.0.1:1/subtrees?partitions=1&replication=1';
  const settings = { kafka_subtreesConfig: nowhere, kafka_queue_max_messages: '3', p2p_seen_hash_max_publishers: '1' };
  const found = await replayCapture(alone(await captured({ wire: 'message-bus', seed: 51, settings }, 1500)));
  expect(found).toMatchObject({ differences: [], isEqual: true, notes: [] });
  // There are 40 subtrees, each of which is handed on once unless it was dropped.
  expect(found.outcome.handed.subtree).toBeGreaterThan(80);
});

describe('a capture in several files', () => {
  test('is replayed from its first file on, and without that says so', async () => {
    const settings = { p2p_capture_max_size: '1048576', p2p_capture_max_files: '50', p2p_author_rate: '0' };
    const file = await captured({ wire: 'message-bus', seed: 7, settings }, 5000);
    expect(existsSync(`${file}.1`)).toBe(true);
    const found = await replayCapture(file);
    expect(found.files.at(-1)).toBe(file);
    expect(found.files.length).toBeGreaterThan(1);
    expect(found).toMatchObject({ differences: [], isEqual: true, notes: [] });
    const last = await replayCapture(alone(file));
    expect(last.files).toHaveLength(1);
    expect(last.notes.join()).toContain('begins with part');
  });

  test('keeps no more files than are allowed, each for its owner alone', async () => {
    const settings = { p2p_capture_max_size: '1048576', p2p_capture_max_files: '2', p2p_author_rate: '0' };
    const file = await captured({ wire: 'message-bus', seed: 8, settings }, 6000);
    expect([file, `${file}.1`, `${file}.2`].map((each) => existsSync(each))).toEqual([true, true, false]);
    for (const each of [file, `${file}.1`]) expect(statSync(each).mode & 0o777).toBe(0o600);
    expect(statSync(`${file}.1`).size).toBeLessThan(1_048_576 + 300_000);
  });
});

describe('a capture that is not whole', () => {
  test('replays as far as it goes when its node was killed, and says so', async () => {
    const file = alone(await captured({ wire: 'go-p2p', seed: 11 }, 500));
    truncateSync(file, statSync(file).size - 5);
    const found = await replayCapture(file);
    expect(found.isEqual).toBe(true);
    expect(found.notes.join()).toContain('The capture is cut off: it ends within a record, at byte');
  });

  test('is refused with its place where it is damaged, of another version, or nothing of the kind', async () => {
    const file = alone(await captured({ wire: 'go-p2p', seed: 12 }, 500));
    const bytes = readFileSync(file);
    const at = Math.floor(bytes.length / 2);
    const damaged = Buffer.from(bytes);
    damaged[at] = (damaged[at] ?? 0) ^ 1;
    writeFileSync(file, damaged);
    expect(await failure(file)).toMatchObject({
      code: 'FILE_UNUSABLE',
      message: expect.stringMatching(/damaged at byte \d+/),
    });
    writeFileSync(file, Buffer.concat([Buffer.from('TP2PCAP9'), bytes.subarray(8)]));
    expect((await failure(file)).message).toContain('its format has version "9" (expected "1")');
    writeFileSync(file, 'something else');
    expect((await failure(file)).message).toContain('it is not a capture');
    expect((await failure(`${file}.missing`)).message).toContain('ENOENT');
    expect((await failure(temporaryFolder('folder'))).message).toContain('it is not a file');
  });
});

describe('other settings', () => {
  test('change decisions, and bans with them', async () => {
    const file = alone(await captured({ wire: 'go-p2p', seed: 21 }, 2000));
    const found = await replayCapture(file, { changes: { p2p_ban_threshold: '1000000' } });
    expect(found.differing).toBeGreaterThan(0);
    const automatic = (outcome = found.outcome) => outcome.bans.filter(({ source }) => source === 'automatic').length;
    expect(automatic()).toBeGreaterThan(0);
    expect(automatic(found.changed)).toBe(0);
    const same = await replayCapture(file, { changes: { p2p_ban_threshold: '60' } });
    expect(same.differing).toBe(0);
  });

  test('are refused when a replay cannot change them, or when they are invalid', async () => {
    const file = alone(await captured({ wire: 'go-p2p', seed: 22 }, 10));
    await expect(replayCapture(file, { changes: { p2p_port: '1' } })).rejects.toMatchObject({ code: 'INPUT_INVALID' });
    await expect(replayCapture(file, { changes: { p2p_author_rate: 'x' } })).rejects.toMatchObject({
      code: 'SETTINGS_INVALID',
    });
  });
});

describe('a capture that somebody wrote', () => {
  type Record = { n: number; t: string; v: { [key: string]: unknown } };
  async function altered(change: (record: Record, blobs: Uint8Array[]) => void): Promise<string> {
    const { encodeFrame, MAGIC, readFrames } = await import('../../src/capture/frame.ts');
    const bytes = readFileSync(await captured({ wire: 'message-bus', seed: 71 }, 100));
    const frames = [...readFrames((buffer, at) => bytes.copy(buffer, 0, at))].map((content) => {
      const [record, blobs] = [JSON.parse(content.json) as Record, [...content.blobs]];
      change(record, blobs);
      return encodeFrame({ json: JSON.stringify(record), blobs }) ?? Buffer.alloc(0);
    });
    const file = join(temporaryFolder('altered'), 'altered');
    writeFileSync(file, Buffer.concat([MAGIC, ...frames]));
    return file;
  }

  test('is refused with a time that no date has, or with more networks than a node can have', async () => {
    const late = await altered((record) => {
      record.n = 8.65e15;
    });
    expect(await failure(late)).toMatchObject({ code: 'FILE_UNUSABLE' });
    const wide = await altered(({ t, v }) => {
      if (t === 'head') v.networks = Array.from({ length: 101 }, () => (v.networks as unknown[])[0]);
    });
    expect(await failure(wide)).toMatchObject({ code: 'FILE_UNUSABLE' });
  });

  test('has signatures that are not checked where it has none', async () => {
    const found = await replayCapture(
      await altered((_record, blobs) => {
        if (blobs.length === 2) blobs[1] = new Uint8Array(0);
      }),
    );
    expect(found).toMatchObject({ isEqual: true, signatures: { valid: 0, invalid: 0 } });
    expect(found.signatures.unchecked).toBe(found.inputs.gossip);
  });

  test('cannot move the cursor of a terminal', async () => {
    const file = await altered(({ t, v }) => {
      if (t === 'head') v.program = 'v1\u001b[2J\u009b';
    });
    let shown = '';
    const stdout = { write: (text: string) => (shown += text) };
    const { replayCommand } = await import('../../src/cli/commands/replay.ts');
    await replayCommand(file, {}, { stdout, stderr: stdout } as never);
    expect(shown).toContain('v1[2J');
    for (const control of ['\u001b', '\u009b']) expect(shown).not.toContain(control);
  });
});

test('a replay of 100 altered captures ends with a result or a fault, and nothing else', async () => {
  const { encodeFrame, MAGIC, readFrames } = await import('../../src/capture/frame.ts');
  const bytes = readFileSync(await captured({ wire: 'both', seed: 31 }, 150));
  const frames = [...readFrames((buffer, at) => bytes.copy(buffer, 0, at))];
  const below = seeded(1);
  const file = join(temporaryFolder('altered'), 'altered');
  for (let i = 0; i < 100; i += 1) {
    // Valid checksums, so that what is altered gets as far as it can.
    const altered = frames.map(({ json, blobs }, number) => {
      if (number > 0 && below(60) > 0) return encodeFrame({ json, blobs }) ?? Buffer.alloc(0);
      const at = below(json.length);
      const values = ['null', '-1', '"x"', '[]', '{}', '1e308', '{"$n":"7"}', '{"$u":1}', '__proto__'];
      const parts = json.split(/(?<=[:,])/);
      parts[below(parts.length)] = `${values[below(values.length)]},`;
      const choices = [parts.join(''), json.slice(0, at), json.slice(0, at) + json.slice(at + 1), json];
      return (
        encodeFrame({ json: choices[number === 0 ? 3 : below(4)] ?? '', blobs: below(9) === 0 ? [] : blobs }) ??
        Buffer.alloc(0)
      );
    });
    writeFileSync(file, Buffer.concat([MAGIC, ...altered]));
    const error = await replayCapture(file).then(
      () => undefined,
      (thrown: unknown) => thrown,
    );
    if (error !== undefined && !(error instanceof P2PError)) throw error;
  }
});
