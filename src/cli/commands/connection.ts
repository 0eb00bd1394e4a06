// What the commands that administer a running node share: how they find it and its key, and how they print.
import { resolve } from 'node:path';
import { readAdminKey } from '../../adapters/grpc/admin-key.ts';
import { createPeerClient, type PeerClient } from '../../client/index.ts';
import { shownTexts } from '../../lib/shown-text.ts';
import { isPlaceholderKey } from '../../settings/admin-key.ts';
import type { LoadedSettings, Settings } from '../../settings/load.ts';
import { confirmed } from './confirmation.ts';
import type { CommandIo } from './io.ts';
import { waitingShown } from './progress.ts';
import { targetNode } from './running-node.ts';
import { commandSettings, hasSettingsFiles } from './settings-folder.ts';

interface ConnectionFlags {
  readonly address?: string | undefined;
  readonly key?: string | undefined;
  readonly settings?: string | undefined;
  readonly json?: boolean | undefined;
}

/** What is printed: text for people, or objects for programs, one per line. */
export interface Output {
  readonly people: string;
  readonly programs: readonly unknown[];
}

/** Asked before something that cannot be undone. */
export interface Question {
  readonly question: string;
  readonly onYes: () => Promise<Output>;
}

/** `argument`: empty for a command without one. `flags`: the command's own options. */
export type Action = (client: PeerClient, argument: string, flags: object, io: CommandIo) => Promise<Output | Question>;

export interface Administration {
  readonly flags: ConnectionFlags;
  /** False: works without the admin key, for users who cannot read it. */
  readonly needsKey: boolean;
  readonly io: CommandIo;
}

/**
 * Runs an action against the node and prints its output. Throws NOT_DONE, INPUT_INVALID, SETTINGS_INVALID, ADMIN_KEY_REFUSED,
 * DATA_FOLDER_UNUSABLE, RPC_FAILED.
 */
export async function administer(
  action: (client: PeerClient) => Promise<Output | Question>,
  { flags, needsKey, io }: Administration,
): Promise<void> {
  const loaded = connectionSettings(flags, io);
  const key = flags.key ?? (needsKey ? await keyOf(loaded?.settings, io) : undefined);
  const finding = targetNode(flags.address, loaded, io.cwd);
  const target = await waitingShown(finding, 'for the node of the data folder', io.stderr);
  const client = createPeerClient({ ...target, adminKey: key });
  const { people, programs } = await outcomeOf(action, client, target.address, io).finally(() => client.close());
  io.stdout.write(
    flags.json === true ? programs.map((each) => `${JSON.stringify(shownTexts(each))}\n`).join('') : people,
  );
}

async function outcomeOf(
  action: (client: PeerClient) => Promise<Output | Question>,
  client: PeerClient,
  address: string,
  io: CommandIo,
): Promise<Output> {
  const shown = <T>(work: Promise<T>) => waitingShown(work, `for the node at ${address}`, io.stderr);
  const outcome = await shown(action(client));
  if (!('question' in outcome)) return outcome;
  await confirmed(outcome.question, io);
  return await shown(outcome.onYes());
}

/** undefined when an address is given and the folder has no settings file: a node on another machine. */
function connectionSettings(flags: ConnectionFlags, io: CommandIo): LoadedSettings | undefined {
  const { address, settings } = flags;
  if (address !== undefined && settings === undefined && !hasSettingsFiles(io.cwd)) return undefined;
  return commandSettings(settings, io);
}

async function keyOf(settings: Settings | undefined, io: CommandIo): Promise<string | undefined> {
  if (settings === undefined) return undefined;
  const { grpc_admin_api_key: set } = settings;
  return set && !isPlaceholderKey(set) ? set : await readAdminKey(resolve(io.cwd, settings.dataFolder));
}
