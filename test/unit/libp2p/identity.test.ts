// Where the private key comes from, in which order, and which keys are refused.
import {
  chmodSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { generateKeyPair, generateKeyPairFromSeed, privateKeyToProtobuf } from '@libp2p/crypto/keys';
import { describe, expect, test } from 'vitest';
import { EmbeddedChain } from '../../../src/adapters/embedded-chain/embedded-chain.ts';
import { loadIdentity, parsePrivateKey, STATE_KEY } from '../../../src/adapters/libp2p/identity.ts';
import { NETWORKS } from '../../../src/wire/networks.ts';
import { FakeClock, recordingLogger } from '../../fakes/recorders.ts';
import { temporaryFolder } from '../../support/cleanup.ts';

async function setUp(folder = temporaryFolder('key')) {
  const log = recordingLogger();
  const blockchain = new EmbeddedChain(
    { log, clock: new FakeClock() },
    { network: NETWORKS.regtest, path: ':memory:', headersFile: undefined, mineIntervalMs: undefined, minerText: '' },
  );
  await blockchain.start(new AbortController().signal);
  const load = (privateKey?: string) => loadIdentity({ blockchain, log }, { privateKey, keyFileFolders: [folder] });
  const file = join(folder, 'p2p.key');
  const loadOnBus = (privateKey?: string) =>
    loadIdentity({ blockchain, log }, { privateKey, keyFileFolders: [folder], busKeyFolders: [folder] });
  return { blockchain, folder, load, log, file, loadOnBus };
}

const hexOf = (raw: Uint8Array) => Buffer.from(raw).toString('hex');

describe('identity', () => {
  test('is generated once and stored', async () => {
    const { load, blockchain } = await setUp();
    const first = await load();
    expect(hexOf((await load()).raw)).toBe(hexOf(first.raw));
    expect(Buffer.from((await blockchain.getState(STATE_KEY)) ?? []).toString()).toBe(hexOf(first.raw));
  });

  test('the setting has priority and is not stored', async () => {
    const { load, blockchain } = await setUp();
    const key = await generateKeyPair('Ed25519');
    expect((await load(hexOf(key.raw))).publicKey.toString()).toBe(key.publicKey.toString());
    expect(await blockchain.getState(STATE_KEY)).toBeUndefined();
  });

  test('the store has priority over a key file, and libp2p’s protobuf form is read as bytes and as hex', async () => {
    const { load, blockchain, folder } = await setUp();
    const [stored, filed] = [await generateKeyPair('Ed25519'), await generateKeyPair('Ed25519')];
    writeFileSync(join(folder, 'p2p.key'), hexOf(filed.raw));
    for (const form of [
      privateKeyToProtobuf(stored),
      Buffer.from(hexOf(privateKeyToProtobuf(stored))),
      stored.raw,
      Buffer.from(hexOf(stored.raw)),
    ]) {
      await blockchain.setState(STATE_KEY, form);
      expect((await load()).publicKey.toString()).toBe(stored.publicKey.toString());
    }
  });

  test('the key of a Go node’s key file is stored, and the file renamed so that no second node can start on it', async () => {
    const { load, blockchain, folder, log } = await setUp();
    const key = await generateKeyPair('Ed25519');
    const file = join(folder, 'p2p.key');
    writeFileSync(file, `${hexOf(key.raw)}\n`);
    writeFileSync(`${file}.moved`, 'an older one');
    expect((await load()).publicKey.toString()).toBe(key.publicKey.toString());
    expect(await blockchain.getState(STATE_KEY)).toBeDefined();
    expect(existsSync(file)).toBe(false);
    expect(readFileSync(`${file}.moved.2`, 'utf8')).toContain(hexOf(key.raw));
    expect(readFileSync(`${file}.moved`, 'utf8')).toBe('an older one');
    expect(log.lines.at(-1)?.fields).toEqual({ file, movedTo: `${file}.moved.2` });
    const other = await setUp(folder);
    expect((await other.load()).publicKey.toString()).not.toBe(key.publicKey.toString());
  });

  test('a key file that cannot be renamed is logged, and renamed at a later start', async () => {
    const { load, folder, log } = await setUp();
    const key = await generateKeyPair('Ed25519');
    const file = join(folder, 'p2p.key');
    writeFileSync(file, hexOf(key.raw));
    for (let i = 1; i <= 100; i += 1) writeFileSync(i === 1 ? `${file}.moved` : `${file}.moved.${i}`, '');
    await load();
    expect(log.lines.at(-1)).toMatchObject({ level: 'warn', fields: { file } });
    rmSync(`${file}.moved.7`);
    await load();
    expect(existsSync(file)).toBe(false);
  });

  test('a key file beside another key in the store is left alone', async () => {
    const { load, folder } = await setUp();
    await load();
    const file = join(folder, 'p2p.key');
    writeFileSync(file, hexOf((await generateKeyPair('Ed25519')).raw));
    await load();
    expect(existsSync(file)).toBe(true);
  });

  test('accepts keys of 64 bytes, and of 96 bytes that repeat the public half', async () => {
    const key = await generateKeyPair('Ed25519');
    const hex = hexOf(key.raw);
    for (const form of [hex, hex + hex.slice(64), hex.toUpperCase()])
      expect(parsePrivateKey(form).publicKey.toString()).toBe(key.publicKey.toString());
  });

  test('refuses text that is no key, and a key whose halves do not match', async () => {
    const [a, b] = [hexOf((await generateKeyPair('Ed25519')).raw), hexOf((await generateKeyPair('Ed25519')).raw)];
    for (const form of ['', 'xyz', a.slice(2), `${a}00`, a.slice(0, 64) + b.slice(64), a + b.slice(64)]) {
      expect(() => parsePrivateKey(form)).toThrow(expect.objectContaining({ code: 'PRIVATE_KEY_INVALID' }));
    }
    const { load, blockchain } = await setUp();
    await blockchain.setState(STATE_KEY, Buffer.from('damaged'));
    await expect(load()).rejects.toMatchObject({ code: 'PRIVATE_KEY_INVALID' });
  });
});

describe('identity on message-bus', () => {
  const newKey = () => generateKeyPair('Ed25519');
  const idOf = (key: { publicKey: { toString(): string } }) => key.publicKey.toString();

  test('is generated once, and kept in a file that only this user can read', async () => {
    const { loadOnBus, file, blockchain } = await setUp(join(temporaryFolder('key'), 'deep'));
    const first = await loadOnBus();
    expect(readFileSync(file, 'utf8')).toBe(hexOf(first.raw));
    expect(statSync(file).mode & 0o777).toBe(0o600);
    expect(idOf(await loadOnBus())).toBe(idOf(first));
    expect(await blockchain.getState(STATE_KEY)).toBeUndefined();
  });

  test('is one key for several starts at the same time in one folder', async () => {
    const folder = temporaryFolder('key');
    const starts = await Promise.all(Array.from({ length: 8 }, () => setUp(folder)));
    const keys = await Promise.all(starts.map(({ loadOnBus }) => loadOnBus()));
    expect(new Set(keys.map(idOf)).size).toBe(1);
    expect(readFileSync(join(folder, 'p2p.key'), 'utf8')).toBe(hexOf(keys[0]?.raw ?? new Uint8Array()));
    expect(readdirSync(folder)).toEqual(['p2p.key']);
  });

  test.each([
    [0o600, 0],
    [0o640, 1],
    [0o604, 1],
  ])('is read from a file of mode %o with %i warnings', async (mode, warnings) => {
    const { loadOnBus, file, log } = await setUp();
    writeFileSync(file, hexOf((await newKey()).raw));
    chmodSync(file, mode);
    await loadOnBus();
    expect(log.lines.filter(({ level }) => level === 'warn')).toHaveLength(warnings);
  });

  test('comes from the setting, then the file, then the store', async () => {
    const { loadOnBus, file, blockchain } = await setUp();
    const [set, filed, stored] = [await newKey(), await newKey(), await newKey()];
    await blockchain.setState(STATE_KEY, Buffer.from(hexOf(stored.raw)));
    writeFileSync(file, hexOf(filed.raw));
    expect(idOf(await loadOnBus(hexOf(set.raw)))).toBe(idOf(set));
    expect(idOf(await loadOnBus())).toBe(idOf(filed));
    expect(readFileSync(file, 'utf8')).toBe(hexOf(filed.raw));
    rmSync(file);
    expect(idOf(await loadOnBus())).toBe(idOf(stored));
    expect(readFileSync(file, 'utf8')).toBe(hexOf(stored.raw));
  });

  test('comes from the data folder when the folder of the peer cache has no key file', async () => {
    const { blockchain, log, folder: dataFolder, file } = await setUp();
    const cacheFolder = temporaryFolder('cache');
    const key = await newKey();
    writeFileSync(file, hexOf(key.raw), { mode: 0o600 });
    const busKeyFolders = [cacheFolder, dataFolder] as const;
    const load = () => loadIdentity({ blockchain, log }, { privateKey: '', keyFileFolders: [], busKeyFolders });
    expect(idOf(await load())).toBe(idOf(key));
    expect(readdirSync(cacheFolder)).toEqual([]);
    expect(log.lines).toEqual([]);

    const other = await newKey();
    writeFileSync(join(cacheFolder, 'p2p.key'), hexOf(other.raw), { mode: 0o600 });
    expect(idOf(await load())).toBe(idOf(other));
    expect(log.lines.map(({ level, fields }) => [level, fields])).toEqual([
      ['warn', { file: join(cacheFolder, 'p2p.key'), unused: file }],
    ]);
  });

  test('is read in every form that Go programs write, told apart by length', async () => {
    const { loadOnBus, file } = await setUp();
    const key = await newKey();
    const hex = hexOf(key.raw);
    for (const form of [hex, hex + hex.slice(64), hexOf(privateKeyToProtobuf(key)), `${hex}\n`, hex.toUpperCase()]) {
      writeFileSync(file, form);
      expect(idOf(await loadOnBus())).toBe(idOf(key));
      expect(idOf(await loadOnBus(form))).toBe(idOf(key));
    }
    // The seed begins like the protobuf form.
    const misleading = await generateKeyPairFromSeed('Ed25519', Buffer.from(`08011240${'7'.repeat(56)}`, 'hex'));
    writeFileSync(file, hexOf(misleading.raw));
    expect(idOf(await loadOnBus())).toBe(idOf(misleading));
  });

  test.each(['', 'xyz', 'ab'.repeat(63), `08011240${'ab'.repeat(63)}`, 'ab'.repeat(64)])(
    'a key file with %j refuses the start, and is not replaced',
    async (text) => {
      const { loadOnBus, file } = await setUp();
      writeFileSync(file, text);
      await expect(loadOnBus()).rejects.toMatchObject({
        code: 'PRIVATE_KEY_INVALID',
        message: expect.stringContaining(file),
      });
      expect(readFileSync(file, 'utf8')).toBe(text);
    },
  );

  test('a key file that cannot be read, or a new key that cannot be written, refuses the start', async () => {
    const { loadOnBus, file } = await setUp();
    mkdirSync(file);
    await expect(loadOnBus()).rejects.toMatchObject({ code: 'PRIVATE_KEY_INVALID' });
    const blocked = await setUp();
    symlinkSync(join(blocked.folder, 'nowhere'), blocked.file);
    await expect(blocked.loadOnBus()).rejects.toMatchObject({ code: 'PRIVATE_KEY_INVALID' });
    expect(existsSync(blocked.file)).toBe(false);
  });
});
