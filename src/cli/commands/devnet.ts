// `teranode-p2p devnet`: a private network of nodes on this machine until SIGINT or SIGTERM.
import { mkdirSync, mkdtempSync, realpathSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { createInterface } from 'node:readline';
import { BUILT_PAGE_FOLDERS } from '../../adapters/http/page/page-files.ts';
import { P2PError } from '../../lib/errors.ts';
import { OWNER_ONLY_FOLDER } from '../../lib/private-file.ts';
import type { WireName } from '../../wire/format.ts';
import { ControlServer } from '../devnet/control.ts';
import { Devnet } from '../devnet/devnet.ts';
import { type DevnetEvent, eventText } from '../devnet/events.ts';
import { DevnetFeed, type Movement } from '../devnet/feed.ts';
import { MAX_NODES } from '../devnet/links.ts';
import { freePorts } from '../devnet/ports.ts';
import { helpText, typedOrder } from '../devnet/switches.ts';
import { stopDone, stopSignal } from '../stop-signals.ts';
import { terminalOf } from '../terminal.ts';
import type { CommandIo } from './io.ts';
import { visible } from './table.ts';

export interface DevnetFlags {
  readonly nodes: string;
  readonly mineEvery: string;
  readonly wire: WireName;
  readonly httpPort?: string | undefined;
  readonly data?: string | undefined;
  readonly json?: boolean | undefined;
}

const MAX_MINE_EVERY_SECONDS = 86_400;
const HTTP_PORT = 9906;
const MAX_PORT = 65_535;
/** Handles that a library left open delay the end of the process by no more than this. */
const EXIT_DEADLINE_MS = 500;

/** Resolves when it was stopped and nothing of it is left. Throws INPUT_INVALID, LISTEN_FAILED, NOT_DONE, TIMEOUT. */
export async function devnetCommand(flags: DevnetFlags, io: CommandIo): Promise<void> {
  const nodes = numberOf('--nodes', flags.nodes, 1, MAX_NODES);
  const mineEverySeconds = numberOf('--mine-every', flags.mineEvery, 0, MAX_MINE_EVERY_SECONDS);
  const firstPort = flags.httpPort === undefined ? HTTP_PORT : numberOf('--http-port', flags.httpPort, 0, MAX_PORT);
  // A node that runs already has the default port.
  const ports = await freePorts(firstPort, nodes + 1, { isExact: flags.httpPort !== undefined });
  // The page has the first one: its address does not depend on the number of nodes.
  const [controlPort = 0, ...httpPorts] = ports;
  const p2pPorts = (await freePorts(0, nodes + ports.length)).filter((port) => !ports.includes(port)).slice(0, nodes);

  const terminal = terminalOf(io);
  const feed = new DevnetFeed();
  const tell = (event: DevnetEvent) => {
    io.stdout.write(flags.json === true ? `${JSON.stringify(event)}\n` : eventText(event, terminal));
    feed.note(event);
  };
  const observer = { tell, move: (movement: Movement) => feed.move(movement) };
  const stop = stopSignal();
  const root = flags.data === undefined ? temporaryFolder() : ownFolder(resolve(io.cwd, flags.data));
  const isDataRemoved = flags.data === undefined;
  const folderFate = isDataRemoved ? 'removed' : 'kept';
  const devnet = new Devnet(
    { nodes, mineEverySeconds, wire: flags.wire, root, folderFate, httpPorts, p2pPorts },
    observer,
  );
  const control = new ControlServer(devnet, feed, BUILT_PAGE_FOLDERS);
  let lines: { close(): void } | undefined;
  try {
    const prepared = await devnet.prepare();
    await control.listen(controlPort);
    tell({ event: 'starting', nodes: prepared, control: `http://127.0.0.1:${controlPort}`, data: root, isDataRemoved });
    await devnet.start(stop);
    lines = typedCommands(devnet, io);
    await aborted(stop);
    tell({ event: 'stopping' });
  } finally {
    lines?.close();
    feed.stop();
    control.stop();
    await devnet.stop();
    if (isDataRemoved) rmSync(root, { recursive: true, force: true, maxRetries: 5 });
    stopDone();
    setTimeout(() => process.exit(), EXIT_DEADLINE_MS).unref();
  }
  tell({ event: 'stopped' });
}

function temporaryFolder(): string {
  return mkdtempSync(join(realpathSync(tmpdir()), 'teranode-devnet-'));
}

function ownFolder(path: string): string {
  mkdirSync(path, { recursive: true, mode: OWNER_ONLY_FOLDER });
  return path;
}

/** Where standard input is a terminal. */
function typedCommands(devnet: Devnet, io: CommandIo): { close(): void } | undefined {
  const { stdin, stderr } = io;
  if (stdin?.isTTY !== true) return undefined;
  stderr.write('type help for what can be done to the network; Ctrl-C ends it\n');
  const lines = createInterface({ input: stdin });
  lines.on('line', async (line) => {
    if (line.trim() === '') return;
    if (line.trim() === 'help') {
      stderr.write(helpText());
      return;
    }
    try {
      await devnet.run(typedOrder(line));
    } catch (error) {
      stderr.write(`${visible(error instanceof Error ? error.message : String(error))}\n`);
    }
  });
  return lines;
}

function numberOf(option: string, text: string, min: number, max: number): number {
  const number = /^\d{1,9}$/.test(text) ? Number(text) : Number.NaN;
  if (number >= min && number <= max) return number;
  throw new P2PError(
    'INPUT_INVALID',
    visible(`invalid ${option} ${text} (expected a whole number from ${min} to ${max})`),
  );
}

async function aborted(signal: AbortSignal): Promise<void> {
  if (signal.aborted) return;
  await new Promise<void>((done) => signal.addEventListener('abort', () => done(), { once: true }));
}
