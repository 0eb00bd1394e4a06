// Keys that `teranode-p2p keygen` makes are those of a Go node, and the other way round: same peer ID, every form.
import { randomBytes } from 'node:crypto';
import { mkdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { temporaryFolder } from '../support/cleanup.ts';
import { type CommandLineOptions, runInProcess } from '../support/command-line.ts';
import { goBusBinary } from '../support/go-bus.ts';
import { GoProgram } from '../support/go-program.ts';
import { privateNetwork } from '../support/network.ts';
import { ServerProcess } from '../support/server-process.ts';

const folder = temporaryFolder('keygen');
let go: GoProgram;
let count = 0;

beforeAll(() => {
  go = new GoProgram(goBusBinary());
});

afterAll(() => go?.stop());

const fresh = () => {
  count += 1;
  return join(folder, `key-${count}`);
};

async function keygen(args: readonly string[], options: CommandLineOptions = {}) {
  const ended = await runInProcess(['keygen', ...args], { cwd: folder, ...options });
  expect(ended).toMatchObject({ status: 0 });
  return ended;
}

const peerIdIn = (stdout: string) => /12D3Koo\w+/.exec(stdout)?.[0];
const goPeerId = async (file: string) => (await go.send<{ peerId: string }>('keyOfHex', { file })).peerId;

interface GoKey {
  readonly peerId: string;
  readonly hex: string;
  readonly protobuf: string;
}

describe('keygen', () => {
  test.each(['hex', 'protobuf'] as const)(
    'writes a key in the form %s that a Go node reads, for its user alone',
    async (form) => {
      const file = fresh();
      const { stdout, stderr } = await keygen(['--form', form, '--out', file]);
      expect(stderr).toBe('');
      expect(stdout).toContain(`written to  ${file}`);
      expect(statSync(file).mode & 0o777).toBe(0o600);
      expect(readFileSync(file, 'utf8')).toMatch(form === 'hex' ? /^[0-9a-f]{128}$/ : /^08011240[0-9a-f]{128}$/);
      expect(await goPeerId(file)).toBe(peerIdIn(stdout));
      expect(peerIdIn((await keygen(['--from', file])).stdout)).toBe(peerIdIn(stdout));
    },
  );

  test('shows the peer ID of keys that a Go node wrote, and converts them', async () => {
    const { peerId, hex, protobuf } = await go.send<GoKey>('makeKey');
    const hex96 = hex + hex.slice(64);
    for (const text of [hex, protobuf, hex96, `${hex.toUpperCase()}\n`]) {
      const file = fresh();
      writeFileSync(file, text, { mode: 0o600 });
      expect(await keygen(['--from', file])).toMatchObject({ stdout: `peer ID  ${peerId}\n`, stderr: '' });
      const stdin = Readable.from([Buffer.from(text)]) as NodeJS.ReadableStream;
      const json = await keygen(['--from', '-', '--json'], { stdin });
      expect(JSON.parse(json.stdout)).toEqual({ peerId });
      for (const [form, expected] of Object.entries({ hex, protobuf, hex96 })) {
        const converted = await keygen(['--from', file, '--form', form, '--out', '-']);
        expect(converted).toMatchObject({ stdout: `${expected}\n`, stderr: `peer ID ${peerId}\n` });
      }
    }
  });

  test('writes p2p.key by default, which a node on message-bus then uses', async () => {
    const dataFolder = temporaryFolder('keyed');
    const { stdout } = await keygen([], { cwd: dataFolder });
    expect(readFileSync(join(dataFolder, 'p2p.key'), 'utf8')).toHaveLength(128);
    const settings = { ...privateNetwork('regtest'), p2p_wire: 'message-bus', p2p_bootstrap_peers: 'none' };
    const server = await ServerProcess.start({ settings, dataFolder });
    expect(server.peerId).toBe(peerIdIn(stdout));
    await server.stop();
  });

  test('never overwrites a key without --force', async () => {
    const file = fresh();
    const first = await keygen(['--out', file]);
    const kept = readFileSync(file, 'utf8');
    const refused = await runInProcess(['keygen', '--out', file]);
    expect(refused).toMatchObject({ status: 1, stdout: '', stderr: expect.stringContaining('--force') });
    expect(readFileSync(file, 'utf8')).toBe(kept);
    const second = await keygen(['--out', file, '--force', '--json']);
    expect(JSON.parse(second.stdout)).toEqual({ peerId: await goPeerId(file), file, form: 'hex' });
    expect(peerIdIn(second.stdout)).not.toBe(peerIdIn(first.stdout));
    expect(statSync(file).mode & 0o777).toBe(0o600);
  });

  test('warns of a key that others can read, and refuses halves that do not match and random bytes', async () => {
    const open = fresh();
    const { hex } = await go.send<GoKey>('makeKey');
    writeFileSync(open, hex, { mode: 0o644 });
    expect((await keygen(['--from', open])).stderr).toMatch(/^warning: other users can read .*mode 644/);
    const other = await go.send<GoKey>('makeKey');
    for (const bytes of [hex.slice(0, 64) + other.hex.slice(64), randomBytes(64), randomBytes(5000), 'ab'.repeat(32)]) {
      const file = fresh();
      writeFileSync(file, bytes, { mode: 0o600 });
      const refused = await runInProcess(['keygen', '--from', file]);
      expect(refused).toMatchObject({
        status: 1,
        stdout: '',
        stderr: expect.stringMatching(/^PRIVATE_KEY_INVALID: .*\n$/),
      });
    }
  });

  test('makes shared keys of 64 hex digits, each another', async () => {
    const [first, second] = [await keygen(['--shared-key']), await keygen(['--shared-key'])];
    expect(first.stdout).toMatch(/^[0-9a-f]{64}\n$/);
    expect(second.stdout).not.toBe(first.stdout);
    mkdirSync(join(folder, 'psk'));
    const file = join(folder, 'psk/shared.key');
    expect((await keygen(['--shared-key', '--out', file])).stdout).toBe(`shared key written to ${file}\n`);
    expect(readFileSync(file, 'utf8')).toMatch(/^[0-9a-f]{64}$/);
    expect(statSync(file).mode & 0o777).toBe(0o600);
  });
});
