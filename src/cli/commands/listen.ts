// `teranode-p2p listen`: the live feed of a network on standard output, until SIGINT or SIGTERM. A client of the library.
import { readFileSync } from 'node:fs';
import { P2PError } from '../../lib/errors.ts';
import type { ListenEvent } from '../../library/events.ts';
import { type Listener, listen } from '../../library/listener.ts';
import type { WireName } from '../../wire/format.ts';
import type { Network } from '../../wire/networks.ts';
import { stopDone, stopSignal } from '../stop-signals.ts';
import { type Terminal, terminalOf } from '../terminal.ts';
import type { CommandIo } from './io.ts';
import { visible } from './table.ts';

export interface ListenFlags {
  readonly types?: string | undefined;
  readonly author?: string | undefined;
  readonly client?: string | undefined;
  readonly bootstrap?: readonly string[] | undefined;
  readonly wire?: WireName | undefined;
  readonly sharedKeyFile?: string | undefined;
  readonly topicPrefix?: string | undefined;
  readonly allowPrivateIps?: boolean | undefined;
  readonly silentAfter?: number | undefined;
  readonly json?: boolean | undefined;
}

const TYPES = [
  ...['block', 'subtree', 'rejected_tx', 'node_status', 'mining_on', 'best_block'],
  ...['peer', 'silent', 'lost', 'tip', 'reorg'],
] as const;
/** Types for which the chain of headers is followed; without --types it is not. */
const OF_CHAIN: readonly string[] = ['tip', 'reorg'];
const MAX_KEY_CHARS = 200;
/** By then a listener that can reach somebody has a connection; a dial alone may take five seconds. */
const NOTICE_ALONE_MS = 10_000;

/** Resolves when it was stopped. Throws SETTINGS_INVALID, and what the listener throws. */
export async function listenCommand(network: string, flags: ListenFlags, io: CommandIo): Promise<void> {
  const isWanted = filterOf(flags);
  const listener = listen(network as Network, { ...listenOptions(flags, io), signal: stopSignal() });
  const notice = setTimeout(() => noticeAlone(listener, io), NOTICE_ALONE_MS);
  try {
    await show(listener, isWanted, flags.json === true ? undefined : terminalOf(io), io);
  } finally {
    clearTimeout(notice);
    await listener.close();
    stopDone();
  }
  const { received, dropped } = listener.stats();
  const sum = (counts: Readonly<Record<string, number>>) => Object.values(counts).reduce((a, b) => a + b, 0);
  if (flags.json !== true) io.stderr.write(`${sum(received)} messages received, ${sum(dropped)} dropped\n`);
}

function noticeAlone(listener: Listener, io: CommandIo): void {
  if (listener.stats().connectedPeers > 0) return;
  const where = 'the name server and the firewall of this machine, --bootstrap and --wire';
  io.stderr.write(`no peer is connected after ${NOTICE_ALONE_MS / 1000} s, and the listener goes on: check ${where}\n`);
}

function listenOptions(flags: ListenFlags, io: CommandIo) {
  const { wire, bootstrap, topicPrefix, allowPrivateIps, silentAfter } = flags;
  const sharedKey = sharedKeyOf(flags, io);
  return {
    ...(wire === undefined ? {} : { wire }),
    ...(bootstrap === undefined ? {} : { bootstrapPeers: bootstrap }),
    ...(topicPrefix === undefined ? {} : { topicPrefix }),
    ...(allowPrivateIps === undefined ? {} : { allowPrivateIps }),
    ...(silentAfter === undefined ? {} : { silentAfterMs: silentAfter * 1000 }),
    chain: typesOf(flags).some((type) => OF_CHAIN.includes(type)),
    ...(sharedKey === undefined || wire !== 'go-p2p' ? {} : { sharedKey }),
  };
}

/** Never on the command line, which other users of the machine can read. */
function sharedKeyOf({ sharedKeyFile: file }: ListenFlags, { env }: CommandIo): string | undefined {
  if (file === undefined) return env.p2p_shared_key || undefined;
  return readFileSync(file, 'utf8').slice(0, MAX_KEY_CHARS).trim();
}

async function show(
  listener: Listener,
  isWanted: (event: ListenEvent) => boolean,
  terminal: Terminal | undefined,
  io: CommandIo,
): Promise<void> {
  for await (const event of listener) {
    if (!isWanted(event)) continue;
    const line = terminal === undefined ? jsonLine(event) : textLine(event, terminal);
    // A slow reader of this output makes the listener drop events, and say so.
    if (!io.stdout.write(`${line}\n`)) await drained(io.stdout);
  }
}

/** Also when the stream is closed: the next write says why. */
function drained(stream: NodeJS.WritableStream): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>();
  const done = () => {
    for (const name of ['drain', 'close', 'error']) stream.removeListener(name, done);
    stopped.removeEventListener('abort', done);
    resolve();
  };
  const stopped = stopSignal();
  for (const name of ['drain', 'close', 'error']) stream.on(name, done);
  stopped.addEventListener('abort', done);
  return promise;
}

function typesOf({ types }: ListenFlags): readonly string[] {
  return types?.split(',').map((type) => type.trim()) ?? [];
}

function filterOf(flags: ListenFlags): (event: ListenEvent) => boolean {
  const { author, client } = flags;
  const wanted = new Set(typesOf(flags));
  const unknown = [...wanted].find((type) => !TYPES.some((each) => each === type));
  if (unknown !== undefined) {
    const expected = `expected some of ${TYPES.join(', ')}, separated by commas`;
    throw new P2PError('INPUT_INVALID', visible(`invalid --types ${unknown} (${expected})`));
  }
  return (event) => {
    if (wanted.size > 0 && !wanted.has(event.type)) return false;
    if (author !== undefined && !('author' in event && event.author === author)) return false;
    return client === undefined || clientOf(event) === client;
  };
}

function clientOf(event: ListenEvent): string | undefined {
  if (event.type === 'node_status') return event.status.clientName;
  return 'clientName' in event ? event.clientName : undefined;
}

function jsonLine(event: ListenEvent): string {
  const bytes = 'header' in event ? event.header : undefined;
  const header = bytes === undefined ? undefined : Buffer.from(bytes).toString('hex');
  return JSON.stringify({ ...event, ...(header === undefined ? {} : { header }) }, (_name, value: unknown) =>
    typeof value === 'bigint' ? Number(value) : value,
  );
}

const TYPE_COLUMNS = 12;

function textLine(event: ListenEvent, terminal: Terminal): string {
  const time = new Date(event.atMs).toISOString().slice(11, 23);
  const type = terminal.color(event.type === 'lost' || event.type === 'silent' ? 'yellow' : 'bold', event.type);
  const space = ' '.repeat(TYPE_COLUMNS - event.type.length);
  return `${terminal.color('dim', time)} ${type}${space}${visible(details(event))}`;
}

function details(event: ListenEvent): string {
  const by = 'author' in event ? ` by ${clientOf(event) ? `${clientOf(event)} ` : ''}${event.author}` : '';
  switch (event.type) {
    case 'block':
    case 'mining_on':
    case 'best_block':
    case 'tip':
      return `${event.height} ${event.hash}${by}`;
    case 'subtree':
      return `${event.hash}${by}`;
    case 'rejected_tx':
      return `${event.txId} ${event.reason}${by}`;
    case 'node_status':
      return `height ${event.status.bestHeight}, ${event.status.version || 'no version'}${by}`;
    case 'peer':
      return `${event.state} ${event.peerId} ${event.addresses[0] ?? ''}`.trimEnd();
    case 'silent':
      return `no ${event.topic ?? 'message'} since ${new Date(event.sinceMs).toISOString()}`;
    case 'reorg':
      return `from ${event.from.height} ${event.from.hash} to ${event.to.height} ${event.to.hash}, after ${event.fork.height}`;
    case 'lost':
      return `${event.count} events, because they were not read in time`;
    default:
      return event satisfies never;
  }
}
