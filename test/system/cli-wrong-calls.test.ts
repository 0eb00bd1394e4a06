// Wrong calls of the command line, each as a user may make it: exit code, one line on standard error that says what is
// wrong and what is expected, nothing on standard output, and never a stack trace.
import { spawn } from 'node:child_process';
import { chmodSync, mkdirSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { beforeAll, describe, expect, test } from 'vitest';
import { endWithTests, temporaryFolder } from '../support/cleanup.ts';
import type { CliEnded } from '../support/cli.ts';
import { type CommandLineOptions, runInProcess } from '../support/command-line.ts';
import { ADMIN_KEY, PEER, type RunningGrpc, serveGrpc, stopGrpcAfterEach } from '../support/grpc.ts';
import { REPO } from '../support/repo.ts';

/** Arguments, exit code, what standard error must say. */
type WrongCall = readonly [args: readonly string[], status: 1 | 2, says: RegExp];

const folder = temporaryFolder('wrong-calls');
const at = (name: string) => join(folder, name);
const NOBODY_LISTENS = '127.0.0.1:1';

beforeAll(() => {
  mkdirSync(at('folder'));
  mkdirSync(at('used'));
  writeFileSync(at('used/notes.txt'), 'mine');
  writeFileSync(at('garbage'), 'neither a key nor an archive\n', { mode: 0o600 });
  mkdirSync(at('broken'));
  writeFileSync(at('broken/settings.conf'), 'p2p_port = many\nnetwork = moon\nno equals sign\n');
  mkdirSync(at('binary'));
  writeFileSync(at('binary/settings.conf'), Buffer.from([0, 255, 254, 1, 10, 128]));
});

/** One line; only invalid settings have more, each of which is indented. */
function checkRefusal(call: WrongCall, { status, stdout, stderr }: CliEnded): void {
  const [args, expected, says] = call;
  const [first = '', ...rest] = stderr.trimEnd().split('\n');
  expect({ args, status, stdout, stderr }).toEqual({
    args,
    status: expected,
    stdout: '',
    stderr: expect.stringMatching(says),
  });
  expect(first.length, stderr).toBeGreaterThan(10);
  const indented = rest.filter((line) => line.startsWith('  ') && stderr.startsWith('SETTINGS_INVALID'));
  expect([args, rest]).toEqual([args, indented]);
  expect(stderr).not.toMatch(/^\s+at |node:internal|\[object |undefined|unexpected error|\.ts:\d/m);
}

async function refused(calls: readonly WrongCall[], options: CommandLineOptions = {}): Promise<void> {
  const { env = {}, ...others } = options;
  const ended = await Promise.all(
    calls.map(
      async (call) =>
        [call, await runInProcess(call[0], { env: { dataFolder: at('none'), ...env }, ...others })] as const,
    ),
  );
  for (const [call, outcome] of ended) checkRefusal(call, outcome);
}

const USAGE: readonly WrongCall[] = [
  [['nonsense'], 2, /unknown command 'nonsense'; usage: teranode-p2p \[options\] \[command\]/],
  [['stauts'], 2, /did you mean status\?/],
  [['bnas', 'list'], 2, /did you mean bans\?/],
  [['--frobnicate'], 2, /unknown option '--frobnicate'/],
  [['bans', 'lits'], 2, /did you mean list\?/],
  [['bans', 'frobnicate'], 2, /unknown command 'frobnicate'; usage: teranode-p2p bans/],
  [['bans', 'add'], 2, /missing required argument 'ip \| cidr \| peer id'; usage: teranode-p2p bans add/],
  [['bans', 'add', '192.0.2.1', '192.0.2.2'], 2, /too many arguments/],
  [['bans', 'add', '192.0.2.1', '--fro', '1h'], 2, /did you mean --for\?/],
  [['bans', 'add', '192.0.2.1', '--for'], 2, /'--for <duration>' argument missing/],
  [['bans', 'list', '--address'], 2, /'--address <host:port>' argument missing/],
  [['bans', 'list', '--jsn'], 2, /did you mean --json\?/],
  [['peers', 'conect', '/ip4/192.0.2.7/tcp/9905'], 2, /did you mean connect\?/],
  [['peers', 'connect'], 2, /missing required argument 'multiaddr'/],
  [['peers', 'disconnect'], 2, /missing required argument 'peer id'/],
  [['peers', 'list', 'all'], 2, /too many arguments/],
  [['status', 'all'], 2, /too many arguments/],
  [['chain', 'tipp'], 2, /did you mean tip\?/],
  [['chain', 'header'], 2, /missing required argument 'hash \| height'/],
  [['chain', 'headers', '3'], 2, /too many arguments/],
  [['start', '--nonsense'], 2, /unknown option '--nonsense'; usage: teranode-p2p start/],
  [['start', 'now'], 2, /too many arguments/],
  [['start', '--settings'], 2, /'--settings <dir>' argument missing/],
  [['settings', 'p2p_port'], 2, /too many arguments/],
  [['settings', '--context'], 2, /'--context <name>' argument missing/],
  [['backup'], 2, /missing required argument 'file'/],
  [['backup', 'a.tar', 'b.tar'], 2, /too many arguments/],
  [['restore'], 2, /missing required argument 'file'/],
  [['restore', 'a.tar', '--overwite'], 2, /did you mean --overwrite\?/],
  [['completion'], 2, /missing required argument 'shell'/],
  [['completion', 'tcsh'], 2, /bash, zsh, fish/],
  [['version', '--jsno'], 2, /did you mean --json\?/],
  [['keygen', 'p2p.key'], 2, /too many arguments/],
  [['keygen', '--form', 'pem'], 2, /hex, hex96, protobuf/],
];

test('usage: unknown or misspelt commands and options, missing and superfluous arguments', async () => {
  expect(USAGE.length).toBeGreaterThan(30);
  await refused(USAGE);
});

test.each([[[]], [['bans']], [['peers']], [['chain']], [['help', 'nonsense']]])(
  '%j prints the help on standard error',
  async (args) => {
    const { status, stdout, stderr } = await runInProcess(args);
    expect([status, stdout, stderr]).toEqual([2, '', expect.stringContaining('Commands:')]);
  },
);

describe('a running node', () => {
  let grpc: RunningGrpc;

  stopGrpcAfterEach();

  const asked = async (calls: readonly WrongCall[], options: CommandLineOptions = {}) => {
    grpc = await serveGrpc();
    grpc.admin.chain = [];
    const addressed = calls.map(
      ([args, status, says]) => [[...args, '--address', grpc.address], status, says] as const,
    );
    await refused(addressed, { env: { grpc_admin_api_key: ADMIN_KEY }, ...options });
  };

  test('is not asked when the input of a ban is wrong, or refuses it', async () => {
    const past = '2020-01-01T00:00:00Z';
    await asked([
      [['bans', 'add', '192.0.2.1', '--for', 'soon'], 2, /--for takes a duration such as 30m/],
      [['bans', 'add', '192.0.2.1', '--for', '24'], 2, /--for takes a duration such as 30m/],
      [['bans', 'add', '192.0.2.1', '--for', '0s'], 2, /--for takes a duration such as 30m/],
      [['bans', 'add', '192.0.2.1', '--for', '900000h'], 2, /at most ten years/],
      [['bans', 'add', '192.0.2.1', '--until', 'tomorrow'], 2, /--until takes a time in the future/],
      [['bans', 'add', '192.0.2.1', '--until', past], 2, /--until takes a time in the future/],
      [['bans', 'add', '192.0.2.1', '--until', '2030-01-01T00:00:00'], 2, /with its time zone/],
      [['bans', 'add', '192.0.2.1', '--for', '1h', '--until', past], 2, /--for or --until, not both/],
      [['bans', 'add', 'nobody'], 2, /^INPUT_INVALID: invalid ban subject "nobody" \(expected an IP/],
      [['bans', 'add', '300.1.1.1'], 2, /invalid ban subject "300\.1\.1\.1"/],
      [['bans', 'add', '10.0.0.0/99'], 2, /invalid ban subject "10\.0\.0\.0\/99"/],
      [['bans', 'add', ''], 2, /addr is empty/],
      [['bans', 'add', '192.0.2.1', '--reason', 'x'.repeat(201)], 2, /201 characters, at most 200/],
      [['bans', 'remove', 'nobody'], 2, /invalid ban subject "nobody"/],
      [['bans', 'remove', '192.0.2.77'], 1, /^NOT_DONE: nothing to lift: there is no ban of 192\.0\.2\.77/],
      [['bans', 'explain', ' '], 2, /subject is empty/],
      [['bans', 'clear'], 2, /standard input is not a terminal; expected --yes/],
    ]);
    expect(grpc.admin.calls.filter(({ method }) => method === 'clearBans')).toEqual([]);
  });

  test('refuses wrong peers and blocks', async () => {
    await asked([
      [['peers', 'connect', 'nowhere'], 2, /nowhere/],
      [['peers', 'connect', '/ip4/192.0.2.8/tcp/9905'], 1, /^PEER_UNREACHABLE: no answer from \/ip4/],
      [['peers', 'disconnect', '12D3Koo'], 2, /invalid peer ID "12D3Koo" \(expected e\.g\. 12D3Koo…\)/],
      [['peers', 'disconnect', PEER], 1, /^PEER_UNREACHABLE: .*not connected/],
      [['chain', 'header', '7'], 1, /^NOT_DONE: the node does not know a block 7/],
      [['chain', 'headers', '--count', '0'], 2, /invalid --count "0" \(expected 1 to 100\)/],
      [['chain', 'headers', '--count', '101'], 2, /invalid --count "101" \(expected 1 to 100\)/],
      [['chain', 'headers', '--count', 'many'], 2, /invalid --count "many" \(expected 1 to 100\)/],
    ]);
  });

  test('does not accept a wrong, a missing or an impossible admin key', async () => {
    const wrongKey = { grpc_admin_api_key: 'another key that is wrong' };
    await asked([[['bans', 'clear', '--yes'], 1, /invalid admin key/]], { env: wrongKey });
    await asked([[['bans', 'clear', '--yes'], 1, /missing admin key/]], { env: {} });
    await asked([[['bans', 'clear', '--yes', '--key', 'schlüssel'], 1, /^ADMIN_KEY_REFUSED: .*printable ASCII/]]);
  });
});

describe('no node', () => {
  test('where nobody listens, at an impossible address, and in an unknown settings folder', async () => {
    await refused([
      [['status', '--address', NOBODY_LISTENS], 1, /^RPC_FAILED: .*127\.0\.0\.1:1 is not available.*--address/],
      [['bans', 'list', '--json', '--address', NOBODY_LISTENS], 1, /^RPC_FAILED: .*ECONNREFUSED/],
      [['chain', 'tip', '--address', NOBODY_LISTENS], 1, /^RPC_FAILED: .*ECONNREFUSED/],
      [['peers', 'list', '--address', '127.0.0.1'], 2, /^ADDRESS_INVALID: .*expected host:port/],
      [['peers', 'list', '--address', '127.0.0.1:99999'], 2, /^ADDRESS_INVALID: .*expected host:port/],
      [['peers', 'list', '--address', ''], 2, /^ADDRESS_INVALID: .*expected host:port/],
      [['status', '--settings', at('nowhere')], 2, /^SETTINGS_INVALID: --settings \S+nowhere does not exist/],
      [['status', '--settings', at('garbage')], 2, /^SETTINGS_INVALID: --settings \S+garbage is not a folder/],
    ]);
  });

  test('but a web server', async () => {
    const web = createServer((_request, response) => response.end('hello')).listen(0, '127.0.0.1');
    await new Promise((resolve) => web.once('listening', resolve));
    const { port } = web.address() as AddressInfo;
    await refused([[['status', '--address', `127.0.0.1:${port}`], 1, /^RPC_FAILED: /]]);
    web.closeAllConnections();
    web.close();
  });
});

test('settings that are missing, broken, binary or of an unknown context', async () => {
  await refused([
    [['settings', '--settings', at('folder')], 2, /p2p_port[\s\S]*there is no settings\.conf in \S+folder/],
    [['settings', '--settings', at('broken')], 2, /p2p_port = many[\s\S]*network = moon/],
    [['settings', '--json', '--settings', at('broken')], 2, /network = moon/],
    [['settings', '--settings', at('binary')], 2, /^SETTINGS_INVALID/],
    [['settings', '--settings', at('nowhere')], 2, /does not exist/],
    [['settings', '--context', 'mainent'], 2, /did you mean mainnet\?/],
    [['start', '--settings', at('broken')], 2, /network = moon/],
    [['start', '--settings', at('nowhere')], 2, /does not exist/],
  ]);
});

test('keys and files that keygen cannot use', async () => {
  const stdin = () => Readable.from([]) as NodeJS.ReadableStream;
  await refused([
    [['keygen', '--from', at('nowhere')], 1, /^FILE_UNUSABLE: cannot read \S+nowhere: ENOENT/],
    [['keygen', '--from', at('folder')], 2, /--from \S+ is a folder \(expected a file\)/],
    [['keygen', '--from', at('garbage')], 1, /^PRIVATE_KEY_INVALID: not an Ed25519 private key \(expected 64/],
    [['keygen', '--out', at('folder')], 2, /--out \S+ is a folder \(expected a file\)/],
    [['keygen', '--out', at('garbage')], 1, /^NOT_DONE: \S+garbage exists already \(expected .*--force\)/],
    [['keygen', '--out', at('nowhere/p2p.key')], 1, /^FILE_UNUSABLE: cannot write \S+ ENOENT/],
    [['keygen', '--shared-key', '--out', at('garbage')], 1, /exists already/],
    [['keygen', '--shared-key', '--from', at('garbage')], 2, /--shared-key or --from, not both/],
  ]);
  await refused([[['keygen', '--from', '-'], 1, /^PRIVATE_KEY_INVALID: not an Ed25519/]], { stdin: stdin() });
});

test('archives and folders that backup and restore cannot use', async () => {
  const dataFolder = at('used');
  await refused(
    [
      [['backup', at('garbage')], 1, /^BACKUP_FAILED: \S+garbage exists already/],
      [['backup', at('nowhere/a.tar')], 1, /^BACKUP_FAILED: cannot write \S+/],
      [['backup', at('used/a.tar')], 1, /expected a file in another folder/],
      [['restore', at('nowhere')], 1, /^BACKUP_FAILED: cannot read \S+nowhere/],
      [['restore', at('garbage')], 1, /is not empty \(expected --overwrite\)/],
      [['restore', at('folder'), '--overwrite'], 1, /^BACKUP_FAILED/],
    ],
    { env: { dataFolder } },
  );
  await refused([[['backup', at('new.tar')], 1, /^BACKUP_FAILED: cannot read the data folder/]]);
  await refused([[['restore', at('garbage'), '--overwrite'], 1, /^BACKUP_FAILED/]], { env: { dataFolder } });
});

/** `sh` runs the script, in which `$P` is the program; `uid`: as another user. */
async function shell(script: string, env: Readonly<Record<string, string>> = {}, uid?: number): Promise<CliEnded> {
  const P = `${process.execPath} ${join(REPO, 'src/cli/main.ts')}`;
  const child = spawn('sh', ['-c', script], {
    cwd: REPO,
    env: { PATH: process.env.PATH ?? '', dataFolder: at('none'), P, F: folder, ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
    ...(uid === undefined ? {} : { uid, gid: uid }),
  });
  endWithTests(child);
  const ended = { status: null as number | null, stdout: '', stderr: '' };
  for (const name of ['stdout', 'stderr'] as const)
    child[name].on('data', (chunk: Buffer) => {
      ended[name] += chunk.toString();
    });
  return await new Promise((resolve) => child.once('close', (status) => resolve({ ...ended, status })));
}

const NOBODY = 65_534;

describe('as a process', () => {
  test('wrong calls are refused as they are inside one', async () => {
    const wrong: readonly (readonly [script: string, status: 1 | 2, says: RegExp])[] = [
      ['$P nonsense', 2, /unknown command/],
      ['$P bans add', 2, /missing required argument/],
      ['$P status --address 127.0.0.1:1', 1, /ECONNREFUSED/],
      ['$P keygen --from $F/garbage', 1, /not an Ed25519 private key/],
      ['$P settings --context mainent', 2, /did you mean mainnet/],
    ];
    for (const [script, status, says] of wrong) checkRefusal([[script], status, says], await shell(script));
  });

  test('in a folder that was deleted the root of the file system is used', async () => {
    const { status, stderr } = await shell('mkdir $F/gone && cd $F/gone && rmdir $F/gone && $P settings');
    expect([status, stderr]).toEqual([
      2,
      expect.stringMatching(/^the current folder does not exist any more; using \/\n/),
    ]);
    expect(stderr).not.toMatch(/^\s+at /m);
  });

  test('a closed standard error leaves the exit code', async () => {
    expect(await shell('$P nonsense 2>&-')).toEqual({ status: 2, stdout: '', stderr: '' });
  });

  test('a start that cannot use its data folder or its port says so', async () => {
    const small = { p2p_port: '0', p2p_static_peers: '', p2p_bootstrap_peers: 'none' };
    const folderIsFile = await shell('$P start --json-logs', { ...small, dataFolder: at('garbage') });
    expect(folderIsFile).toMatchObject({
      status: 1,
      stderr: expect.stringMatching(/^DATA_FOLDER_UNUSABLE: .*garbage/),
    });
    const web = createServer().listen(0, '127.0.0.1');
    await new Promise((resolve) => web.once('listening', resolve));
    const { port } = web.address() as AddressInfo;
    const taken = { ...small, dataFolder: at('started'), p2p_http_listen_address: `127.0.0.1:${port}` };
    const portTaken = await shell('$P start --json-logs', taken);
    web.close();
    expect(portTaken).toMatchObject({ status: 1, stderr: expect.stringMatching(/^LISTEN_FAILED: .*\n$/) });
    for (const { stderr } of [folderIsFile, portTaken]) expect(stderr).not.toMatch(/^\s+at |undefined/m);
  });

  test('a user without permission is told which file it is about', async () => {
    chmodSync(folder, 0o755);
    mkdirSync(at('private'), { mode: 0o700 });
    mkdirSync(at('keyed'), { mode: 0o755 });
    writeFileSync(at('keyed/admin.key'), ADMIN_KEY, { mode: 0o600 });
    const wrong: readonly (readonly [script: string, status: 1 | 2, says: RegExp])[] = [
      ['$P keygen --out $F/private/p2p.key', 1, /^FILE_UNUSABLE: cannot write \S+p2p\.key: EACCES/],
      ['$P keygen --from $F/keyed/admin.key', 1, /^FILE_UNUSABLE: cannot read \S+admin\.key: EACCES/],
      ['$P backup $F/private/a.tar', 1, /^BACKUP_FAILED: .*EACCES/],
      ['$P bans clear --yes', 1, /^ADMIN_KEY_REFUSED: .*admin\.key/],
    ];
    for (const [script, status, says] of wrong)
      checkRefusal([[script], status, says], await shell(script, { dataFolder: at('keyed') }, NOBODY));
  });
});
