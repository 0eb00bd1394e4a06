// Why does this node hear nobody? Everything that can be the reason is checked side by side, each check within a time
// limit: beside a running node through its own facts, else with a node of doctor's own for the length of the check.
import type { PeerClient } from '../../client/index.ts';
import { orAfter } from '../../lib/deadline.ts';
import { systemClock } from '../../ports/clock.ts';
import type { LoadedSettings } from '../../settings/load.ts';
import { wireChoice } from '../../settings/wire.ts';
import { type ClockSource, clockOfPeers, dateOfDataHub, judgeClock } from './clock.ts';
import { type CheckName, type Finding, fine, notAskedFor, unknown, wrong } from './finding.ts';
import { judgeConnections } from './judge-connections.ts';
import { judgeFeed } from './judge-feed.ts';
import { checkAdminKey, checkDisk, checkFileDescriptors, checkPorts, portsOfNode } from './machine.ts';
import { checkNames } from './names.ts';
import { checkNodeSettings } from './node-settings.ts';
import { checkAddressesWithoutNode, checkOwnAddresses } from './own-address.ts';
import { inOrder } from './report.ts';
import { secondLooks } from './second-look.ts';
import { checkBlockchain, checkDataHub, checkKafka, checkValidation } from './services.ts';
import type { NetworkView } from './view.ts';
import { lookUntilSettled, type Watched } from './watching.ts';

export interface DoctorOptions {
  readonly loaded: LoadedSettings;
  /** Folder to which `dataFolder` is relative. */
  readonly cwd: string;
  /** The running node; undefined: none runs. */
  readonly node: PeerClient | undefined;
  /** All checks together take no longer. */
  readonly timeoutMs: number;
  /** Told of each check that has ended. */
  readonly progress: (finding: Finding) => void;
}

/** Time for what follows on listening: second looks, and dials to our own addresses. */
const AFTER_LISTENING_MS = 14_000;
const MAX_LISTENING_MS = 16_000;
const STOP_MS = 3000;
const NETWORK_CHECKS = [
  ...['bootstrap', 'shared_key', 'prefix_and_wire', 'hang_ups', 'topics', 'mesh', 'last_messages', 'nat', 'clock'],
] as const as readonly CheckName[];

/** In the order of the table. Never throws. */
export async function examine(options: DoctorOptions): Promise<readonly Finding[]> {
  const { loaded, cwd, node, timeoutMs, progress } = options;
  const { settings } = loaded;
  const signal = AbortSignal.timeout(timeoutMs);
  const told = (findings: readonly Finding[]) => {
    for (const each of findings) progress(each);
    return findings;
  };
  const one = async (name: CheckName, check: () => Finding | Promise<Finding>): Promise<readonly Finding[]> =>
    told([await within(name, timeoutMs, check)]);
  const names = one('dns', () => checkNames(settings, signal));
  const ports = one('ports', () => (node === undefined ? checkPorts(settings) : portsOfNode(node)));
  const findings = await Promise.all([
    one('settings', () => settingsFinding(loaded, node !== undefined)),
    one('node_settings', () => checkNodeSettings(loaded, node, cwd, signal)),
    one('health', () => health(node)),
    ports,
    names,
    one('datahub', () => checkDataHub(settings, signal)),
    one('kafka', () => checkKafka(settings, node !== undefined, signal)),
    one('blockchain', () => checkBlockchain(settings, signal)),
    one('validation_services', () => checkValidation(settings)),
    one('file_descriptors', () => checkFileDescriptors(settings)),
    one('disk', () => checkDisk(settings, cwd)),
    one('admin_key', () => checkAdminKey(settings, cwd)),
    orAfter(
      network(options, { names, ports }, signal),
      timeoutMs,
      allUnknown(`no result within ${timeoutMs / 1000} s`),
    ).then(told),
  ]);
  return inOrder(findings.flat());
}

/** When the settings do not load nothing else can be checked. */
export function refusedSettings(message: string): readonly Finding[] {
  return [
    wrong(
      'settings',
      message.replaceAll(/\s+/g, ' '),
      'correct each setting that is named; docs/settings.md lists them all',
    ),
  ];
}

async function within(name: CheckName, deadlineMs: number, check: () => Finding | Promise<Finding>): Promise<Finding> {
  try {
    const late = unknown(name, `no result within ${Math.round(deadlineMs / 1000)} s`);
    return await orAfter(Promise.resolve(check()), deadlineMs, late);
  } catch (error) {
    return unknown(name, error instanceof Error ? error.message : 'the check failed');
  }
}

function settingsFinding({ settings, context, notices }: LoadedSettings, isRunning: boolean): Finding {
  const { names, reason } = wireChoice(settings);
  const ignored = Object.values(notices).reduce((sum, each) => sum + (Array.isArray(each) ? each.length : 0), 0);
  const note = ignored === 0 ? '' : `; settings without effect: ${ignored} (the start logs them)`;
  return fine(
    'settings',
    `context ${context}, network ${settings.network}, wire ${names.join(' and ')} (${reason})${note}${isRunning ? '; as loaded by doctor, see node_settings' : ''}`,
  );
}

async function health(node: PeerClient | undefined): Promise<Finding> {
  if (node === undefined) return notAskedFor('health', 'no node runs from this dataFolder');
  const { isReady, checks } = await node.status();
  const failed = checks.filter(({ ok }) => !ok).map(({ name, details }) => `${name}: ${details}`);
  if (isReady) return fine('health', 'the running node is ready');
  return wrong(
    'health',
    failed.join('; ') || 'the running node is not ready',
    'see the checks of these services below',
  );
}

function allUnknown(why: string): readonly Finding[] {
  return NETWORK_CHECKS.map((name) => unknown(name, why));
}

interface Earlier {
  readonly names: Promise<unknown>;
  readonly ports: Promise<unknown>;
}

/** Never throws. */
async function network(options: DoctorOptions, earlier: Earlier, signal: AbortSignal): Promise<readonly Finding[]> {
  const { loaded, timeoutMs } = options;
  const { settings } = loaded;
  const listenMs = Math.max(1000, Math.min(MAX_LISTENING_MS, timeoutMs - AFTER_LISTENING_MS));
  const date = dateOfDataHub(settings, signal);
  let watched: Watched | undefined;
  try {
    watched = await lookUntilSettled(options, earlier.names, listenMs, signal);
    const { view: seen } = watched;
    const view = { ...seen, second: await secondLooks(seen.dials, settings, signal) };
    const nowMs = systemClock.now();
    const connections = judgeConnections(view, settings, nowMs);
    const prefix = connections.find(({ name }) => name === 'prefix_and_wire') ?? unknown('prefix_and_wire', '');
    const sources = [await date, clockOfPeers(view.clockOffsetsMs)].filter(
      (each): each is ClockSource => each !== undefined,
    );
    const nat = await within('nat', timeoutMs, () => ownAddresses(options, view, earlier, signal));
    return [...connections, ...judgeFeed(view, prefix, nowMs), nat, judgeClock(sources)];
  } catch (error) {
    return allUnknown(error instanceof Error ? error.message : 'failed');
  } finally {
    if (watched !== undefined) await orAfter(watched.stop(), STOP_MS, undefined).catch(() => {});
  }
}

async function ownAddresses(
  { loaded, node }: DoctorOptions,
  view: NetworkView,
  { ports }: Earlier,
  signal: AbortSignal,
): Promise<Finding> {
  if (node !== undefined) return await checkOwnAddresses(view, loaded.settings, signal);
  // Both bind the port.
  await ports;
  return await checkAddressesWithoutNode(loaded.settings);
}
