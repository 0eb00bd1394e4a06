// What the commands that administer a running node share: how they find it (options, else the node's own settings), how they answer.
import { existsSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { readAdminKey } from '../../adapters/grpc/admin-key.ts';
import { type ClientTlsOptions, createPeerClient, type PeerClient } from '../../client/index.ts';
import { P2PError } from '../../lib/errors.ts';
import { loadSettings, type Settings } from '../../settings/load.ts';

/** What a command reads and writes; the process's own, or a test's. */
export interface CommandIo {
  readonly stdout: NodeJS.WritableStream;
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly cwd: string;
}

/** For parseArgs: understood by every command that administers a node. */
export const CONNECTION_OPTIONS = {
  address: { type: 'string' },
  key: { type: 'string' },
  settings: { type: 'string' },
  json: { type: 'boolean' },
} as const;

interface ConnectionFlags {
  readonly address?: string | undefined;
  readonly key?: string | undefined;
  readonly settings?: string | undefined;
  readonly json?: boolean | undefined;
}

/** What is printed: lines for people, or objects for programs, one a line. */
export interface Output {
  readonly people: string;
  readonly programs: readonly unknown[];
}

/** `rest`: what stands behind the action's name. */
export type Action<F> = (client: PeerClient, rest: readonly string[], flags: F) => Promise<Output>;

/** Actions that need no admin key: whoever may not read it can still look. */
const KEYLESS: ReadonlySet<string> = new Set(['list', 'explain']);

/** Runs the action named first and prints what it says. Throws INPUT_INVALID, SETTINGS_INVALID, ADMIN_KEY_REFUSED, RPC_FAILED. */
export async function administer<F extends ConnectionFlags>(
  command: string,
  actions: Readonly<Record<string, Action<F>>>,
  given: { readonly values: F; readonly positionals: readonly string[] },
  io: CommandIo,
): Promise<number> {
  const [name = '', ...rest] = given.positionals;
  const action = Object.hasOwn(actions, name) ? actions[name] : undefined;
  if (action === undefined) throw misused(`${command} ${Object.keys(actions).join(' | ')}`);
  const flags = given.values;
  const settings = connectionSettings(flags, io);
  const key = flags.key ?? (KEYLESS.has(name) ? undefined : await keyOf(settings, io));
  const address = flags.address ?? dialAddress(settings);
  const client = createPeerClient({ address, adminKey: key, tls: tlsOf(settings) });
  const { people, programs } = await action(client, rest, flags).finally(() => client.close());
  io.stdout.write(flags.json === true ? programs.map((each) => `${JSON.stringify(each)}\n`).join('') : people);
  return 0;
}

/** The texts that an action needs. Throws INPUT_INVALID with how it is called when there are more or fewer. */
export function exactly<const N extends readonly string[]>(
  names: N,
  given: readonly string[],
  usage: string,
): { readonly [K in keyof N]: string } {
  if (given.length !== names.length) throw misused(usage);
  return given as unknown as { readonly [K in keyof N]: string };
}

function misused(usage: string): P2PError {
  return new P2PError('INPUT_INVALID', `called as: teranode-p2p ${usage}`);
}

/** undefined where an address is given and no settings file lies about: a node on another machine. */
function connectionSettings(flags: ConnectionFlags, io: CommandIo): Settings | undefined {
  const folder = flags.settings ?? io.cwd;
  const hasFiles = ['settings.conf', 'settings_local.conf'].some((name) => existsSync(join(folder, name)));
  if (flags.address !== undefined && flags.settings === undefined && !hasFiles) return undefined;
  return loadSettings({ folder, env: io.env }).settings;
}

/** All interfaces are dialled on this machine's own. */
function dialAddress(settings: Settings | undefined): string {
  const address = settings?.p2p_grpc_address ?? settings?.p2p_grpc_listen_address ?? '';
  return address.replace(/^(?:0\.0\.0\.0|\[::\])?:(?=\d+$)/, '127.0.0.1:');
}

async function keyOf(settings: Settings | undefined, io: CommandIo): Promise<string | undefined> {
  if (settings === undefined) return undefined;
  return settings.grpc_admin_api_key || (await readAdminKey(resolve(io.cwd, settings.dataFolder)));
}

function tlsOf(settings: Settings | undefined): ClientTlsOptions | undefined {
  if (settings === undefined || settings.security_level_grpc === 0) return undefined;
  const { server_caFile: caFile, server_certFile: serverCertFile, server_keyFile: keyFile } = settings;
  const own = settings.security_level_grpc > 1 ? { certFile: serverCertFile, keyFile } : {};
  return { caFile: caFile || undefined, serverCertFile, ...own };
}
