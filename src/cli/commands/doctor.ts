// `teranode-p2p doctor`: why does this node hear nobody? Prints a line per check and what to do, or JSON. Exit code 1
// when a check that the settings ask for is not ok.
import { resolve } from 'node:path';
import { readListening } from '../../adapters/grpc/listening-file.ts';
import { examine, refusedSettings } from '../../app/doctor/doctor.ts';
import type { Finding } from '../../app/doctor/finding.ts';
import { reportText } from '../../app/doctor/report.ts';
import { createPeerClient, type PeerClient } from '../../client/index.ts';
import { P2PError } from '../../lib/errors.ts';
import { type LoadedSettings, loadSettings } from '../../settings/load.ts';
import { NotOk } from '../not-ok.ts';
import type { CommandIo } from './io.ts';
import { targetNode } from './running-node.ts';
import { visible } from './table.ts';

interface DoctorFlags {
  readonly address?: string | undefined;
  readonly settings?: string | undefined;
  readonly context?: string | undefined;
  readonly timeout?: string | undefined;
  readonly json?: boolean | undefined;
}

const SECONDS = { least: 5, most: 300, default: 30 } as const;

/** Throws NotOk when a check is not ok, INPUT_INVALID, and RPC_FAILED when the node of `--address` does not answer. */
export async function doctorCommand(flags: DoctorFlags, io: CommandIo): Promise<void> {
  const timeoutMs = secondsOf(flags.timeout) * 1000;
  const findings = await found(flags, io, timeoutMs);
  const output = flags.json === true ? `${JSON.stringify({ checks: findings })}\n` : reportText(findings);
  await new Promise<void>((done) => io.stdout.write(output, () => done()));
  if (findings.some(({ ok }) => ok === false)) throw new NotOk('a check is not ok');
}

async function found(flags: DoctorFlags, io: CommandIo, timeoutMs: number): Promise<readonly Finding[]> {
  let loaded: LoadedSettings;
  try {
    const context = flags.context === undefined ? {} : { context: flags.context };
    loaded = loadSettings({ folder: flags.settings ?? io.cwd, env: io.env, ...context, checksFiles: true });
  } catch (error) {
    if (error instanceof P2PError && error.code === 'SETTINGS_INVALID') return refusedSettings(error.message);
    throw error;
  }
  const node = await runningNode(flags.address, loaded, io.cwd);
  const { isTTY } = process.stderr;
  const progress = ({ name, ok }: Finding) => {
    if (isTTY && flags.json !== true)
      process.stderr.write(`${visible(name)}: ${ok === null ? '-' : ok ? 'ok' : 'not ok'}\n`);
  };
  try {
    return await examine({ loaded, cwd: io.cwd, node, timeoutMs, progress });
  } finally {
    node?.close();
  }
}

/** Without an address, only the node that listens from the data folder: another one says nothing of these settings. */
async function runningNode(
  address: string | undefined,
  loaded: LoadedSettings,
  cwd: string,
): Promise<PeerClient | undefined> {
  if (address === undefined && (await readListening(resolve(cwd, loaded.settings.dataFolder))) === undefined)
    return undefined;
  try {
    const client = createPeerClient(await targetNode(address, loaded, cwd));
    await client.status(true);
    return client;
  } catch (error) {
    if (address === undefined && error instanceof P2PError && error.code === 'RPC_FAILED') return undefined;
    throw error;
  }
}

function secondsOf(text: string | undefined): number {
  const seconds = text === undefined ? SECONDS.default : Number(text);
  if (Number.isInteger(seconds) && seconds >= SECONDS.least && seconds <= SECONDS.most) return seconds;
  throw new P2PError(
    'INPUT_INVALID',
    `invalid --timeout "${text}" (expected seconds from ${SECONDS.least} to ${SECONDS.most})`,
  );
}
