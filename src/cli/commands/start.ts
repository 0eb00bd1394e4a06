// `teranode-p2p start`: runs a node until SIGTERM or SIGINT, says on one line when it is ready.
import { setImmediate } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { compose } from '../../app/compose.ts';
import { P2PError } from '../../lib/errors.ts';
import { logUnfiltered } from '../../ports/log.ts';
import { loadSettings } from '../../settings/load.ts';
import { stopDone, stopSignal } from '../stop-signals.ts';

/** This time, or an insistent signal, ends a stop that hangs. */
const STOP_DEADLINE_MS = 8000;
/** When all is stopped, what a library left open holds up the end of the process no longer than this. */
const EXIT_DEADLINE_MS = 500;

/** Resolves with the exit code. Until the server is composed a signal ends the process at once: nothing is there to stop. */
export async function startCommand(argv: readonly string[]): Promise<number> {
  const { values } = parseArgs({
    args: [...argv],
    options: { settings: { type: 'string' }, 'json-logs': { type: 'boolean' }, pretty: { type: 'boolean' } },
  });
  const { settings, effective } = loadSettings({
    folder: values.settings ?? process.cwd(),
    env: process.env,
    checksFiles: true,
  });
  const isPretty = values.pretty === true || (process.stdout.isTTY === true && values['json-logs'] !== true);
  // A signal that came while modules were loaded is heard now, before anything is opened.
  await setImmediate();
  const app = await compose(settings, { logFormat: isPretty ? 'pretty' : 'json', effective });
  const stop = stopSignal();
  try {
    const ready = await app.start(stop);
    const { peerId, listenAddresses, httpAddress, grpcAddress } = ready;
    logUnfiltered(app.log, { peerId, listenAddresses, httpAddress, grpcAddress }, 'ready');
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
  return 0;
}

function joinHint(addresses: readonly string[]): string {
  const address = addresses[0];
  if (address === undefined) return '';
  return `\nTo join this node with a second one:\n  p2p_port=0 p2p_http_listen_address=127.0.0.1:0 p2p_grpc_listen_address=127.0.0.1:0 dataFolder=./data2 p2p_static_peers=${address} npm start\n\n`;
}

async function aborted(signal: AbortSignal): Promise<void> {
  if (signal.aborted) return;
  await new Promise<void>((resolve) => signal.addEventListener('abort', () => resolve(), { once: true }));
}

async function bounded(stopping: Promise<void>): Promise<void> {
  const timer = setTimeout(() => {
    process.stderr.write('stop took too long\n');
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
