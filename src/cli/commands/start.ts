// `teranode-p2p start`: runs a node until SIGTERM or SIGINT, and prints one line when it is ready.
import { setImmediate } from 'node:timers/promises';
import { neverBlocks } from '../../adapters/logging/line-writer.ts';
import { compose } from '../../app/compose.ts';
import { P2PError } from '../../lib/errors.ts';
import { logUnfiltered } from '../../ports/log.ts';
import { outputFailed } from '../closed-output.ts';
import { endWithParent, isDevnetNode, takeOrders } from '../devnet/child.ts';
import { limitHeapGrowth } from '../heap-growth.ts';
import { stopDone, stopSignal } from '../stop-signals.ts';
import { waitingShown } from './progress.ts';
import { commandSettings } from './settings-folder.ts';

/** A stop that hangs is ended after this time, or by a further signal. */
const STOP_DEADLINE_MS = 8000;
/** Handles that a library left open delay the end of the process by no more than this. */
const EXIT_DEADLINE_MS = 500;

interface StartFlags {
  readonly settings?: string | undefined;
  readonly jsonLogs?: boolean | undefined;
  readonly pretty?: boolean | undefined;
}

/**
 * Resolves when the node has stopped. Until the server is composed a signal ends the process at once: there is nothing
 * to stop.
 */
export async function startCommand(flags: StartFlags): Promise<void> {
  limitHeapGrowth();
  const { settings, effective, notices } = commandSettings(
    flags.settings,
    { cwd: process.cwd(), env: process.env },
    { checksFiles: true },
  );
  if (isDevnetNode()) endWithParent(settings.dataFolder);
  // A node outlives the readers of its log.
  process.stdout.off('error', outputFailed);
  for (const stream of [process.stdout, process.stderr]) neverBlocks(stream);
  const isPretty = flags.pretty === true || (process.stdout.isTTY === true && flags.jsonLogs !== true);
  // Signals that arrived while modules were loading are handled now, before anything is opened.
  await setImmediate();
  const composing = compose(settings, { logFormat: isPretty ? 'pretty' : 'json', effective, notices });
  const app = await shownOutsideOfLog(composing);
  const stop = stopSignal();
  if (isDevnetNode()) takeOrders(app);
  try {
    const ready = await shownOutsideOfLog(app.start(stop));
    const { peerId, listenAddresses, networks, httpAddress, grpcAddress } = ready;
    // People open the first address, and scroll for the others.
    if (isPretty) process.stdout.write(`\nThe node is ready: ${ready.httpUrl ?? 'without HTTP'}\n\n`);
    logUnfiltered(app.log, { peerId, listenAddresses, networks, httpAddress, grpcAddress }, 'ready');
    if (isPretty) process.stdout.write(joinHint(ready.listenAddresses));
    await aborted(stop);
  } catch (error) {
    if (!stop.aborted) throw error;
  } finally {
    await bounded(app.stop());
    stopDone();
    setTimeout(() => process.exit(), EXIT_DEADLINE_MS).unref();
  }
  app.log.info({}, 'stopped');
}

/** Where the log goes to a file or a pipe, a terminal says that the node is not ready yet. */
async function shownOutsideOfLog<T>(work: Promise<T>): Promise<T> {
  if (process.stdout.isTTY === true) return await work;
  return await waitingShown(work, 'for the node to be ready; the log says for what', process.stderr);
}

function joinHint(addresses: readonly string[]): string {
  const address = addresses[0];
  if (address === undefined) return '';
  return `\nTo start a second node that connects to this one:\n  p2p_port=0 p2p_http_listen_address=127.0.0.1:0 p2p_grpc_listen_address=127.0.0.1:0 dataFolder=./data2 p2p_static_peers=${address} npm start\n\n`;
}

async function aborted(signal: AbortSignal): Promise<void> {
  if (signal.aborted) return;
  await new Promise<void>((resolve) => signal.addEventListener('abort', () => resolve(), { once: true }));
}

async function bounded(stopping: Promise<void>): Promise<void> {
  const timer = setTimeout(() => {
    process.stderr.write(`failed to stop within ${STOP_DEADLINE_MS} ms\n`);
    process.exit(1);
  }, STOP_DEADLINE_MS);
  try {
    await stopping;
  } catch (cause) {
    throw new P2PError('TIMEOUT', 'the server did not stop cleanly', { cause });
  } finally {
    clearTimeout(timer);
  }
}
