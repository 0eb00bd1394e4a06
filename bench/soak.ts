// A soak: the started server between a real broker, a real PostgreSQL, the node's services and Go peers of both wires,
// with faults injected by a seed, for as long as asked. Samples memory, handles, delay and queues, accounts for each
// message and each ban, prints a table, and keeps result.json and soak.svg. Exit code 0: nothing grew, nothing accepted
// was lost, nobody honest was banned. 1: something of that. 2: it could not be run.
//
// --hours 1 or --minutes 60  --seed text: another plan of faults  --rate 20: messages per second
// --out folder  --faults "clock stepped;disk filled" or none; default all
// --import file: a module that the server loads first, to see a planted leak found
import { mkdirSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { readRecords } from '../test/support/kafka-reader.ts';
import { protobufStrings } from '../test/support/network.ts';
import { REPO } from '../test/support/repo.ts';
import { waitFor } from '../test/support/wait.ts';
import { describeMachine } from './machine.ts';
import { WIRES } from './receiver-port.ts';
import { soakChart } from './soak/chart.ts';
import { Faults } from './soak/faults.ts';
import { Lab } from './soak/lab.ts';
import { Ledger } from './soak/ledger.ts';
import { clamp, FAULTS, type Fault, type FaultKind, planFaults } from './soak/plan.ts';
import { type Findings, failures, table } from './soak/report.ts';
import { judge, Sampler } from './soak/samples.ts';
import { parseScrape, sumOf, waiting } from './soak/scrape.ts';
import { Traffic } from './soak/traffic.ts';

const MINUTE_MS = 60_000;
/** What a run may take beyond its length: start, the rest of the queues, reading Kafka. */
const BEYOND_MS = 10 * MINUTE_MS;
const DRAIN_DEADLINE_MS = 2 * MINUTE_MS;
/** Announcements of the warm-up, on each wire, that fill the tables whose entries stay until they are full. */
const FILL = { perSecond: 200, messages: 30_000, minWarmUpMs: 2.5 * MINUTE_MS } as const;
/** Below this length every sample collects garbage, so that there are enough of them. */
const SHORT_MS = 10 * MINUTE_MS;

const { values } = parseArgs({
  options: {
    hours: { type: 'string' },
    minutes: { type: 'string' },
    seed: { type: 'string', default: new Date().toISOString().slice(0, 16) },
    rate: { type: 'string', default: '20' },
    out: { type: 'string', default: join(REPO, 'bench/results/soak') },
    faults: { type: 'string' },
    import: { type: 'string' },
  },
});

// From the first line on, because a process that a signal kills leaves its children running. Before whatever else hears
// the signal: the disk has to be unmounted before its folder is removed.
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.prependOnceListener(signal, () => process.exit(2));

function refuse(reason: string): never {
  process.stderr.write(`${reason}\n`);
  process.exit(2);
}

function parseLength(): number {
  const { hours, minutes } = values;
  if (hours !== undefined && minutes !== undefined) refuse('give --hours or --minutes, not both');
  const text = hours ?? minutes ?? '60';
  if (!(Number(text) > 0)) refuse(`invalid length "${text}" (expected e.g. --hours 1 or --minutes 15)`);
  return Number(text) * (hours === undefined ? MINUTE_MS : 60 * MINUTE_MS);
}

const isRoot = process.getuid?.() === 0;

function parseKinds(): FaultKind[] {
  const all = (Object.keys(FAULTS) as FaultKind[]).filter((kind) => isRoot || kind !== 'disk filled');
  const { faults } = values;
  if (faults === undefined) return all;
  if (faults === 'none') return [];
  return faults.split(';').map((name) => {
    const kind = all.find((each) => each === name);
    return kind ?? refuse(`no fault "${name}" (expected ${all.join('; ')})`);
  });
}

function say(line: string): void {
  process.stdout.write(`${line}\n`);
}

function planned({ kind, atMs, forMs, amount }: Fault): string {
  return `${(atMs / 1000).toFixed(1).padStart(8)} s  ${kind}, ${(forMs / 1000).toFixed(1)} s, amount ${amount.toFixed(2)}`;
}

const runMs = parseLength();
const warmMs = clamp(runMs / 5, 15_000, 10 * MINUTE_MS);
const kinds = parseKinds();
const { seed } = values;
// Faults begin in the warm-up: the first of its kind runs code that was never run before.
const plan = planFaults({ seed, fromMs: warmMs / 2, untilMs: runMs - clamp(runMs / 10, 5000, MINUTE_MS), kinds });
if (!isRoot) say('Without root no disk is filled.');
say(`Faults of seed ${seed}:\n${plan.map(planned).join('\n')}\n`);
setTimeout(() => refuse('the soak did not end in time'), runMs + BEYOND_MS).unref();

const lab = await Lab.start({
  withDisk: kinds.includes('disk filled'),
  modules: values.import === undefined ? [] : [resolve(values.import)],
}).catch((error: unknown) => refuse(`the soak could not start: ${error instanceof Error ? error.stack : error}`));
const ledger = new Ledger();
const traffic = new Traffic(lab, ledger, { seed, ratePerSecond: Number(values.rate), runMs });
const sampler = new Sampler(lab, traffic);
const faults = new Faults(lab, (error) =>
  traffic.errors.push(`a fault could not be injected or undone: ${error.stack}`),
);

const startMs = Date.now();
let endMs = startMs;
try {
  await soak();
} catch (error) {
  for (const each of traffic.errors) say(`FAILED: error: ${each}`);
  say(`FAILED: the soak could not be brought to its end: ${error instanceof Error ? error.stack : error}`);
  keepLog();
  process.exit(1);
}

async function soak(): Promise<never> {
  await traffic.start();
  faults.begin(plan);
  await run();
  await traffic.stopPublishing();
  await faults.stop();
  const stillQueued = await drain();
  endMs = Date.now();
  const findings = await conclude(stillQueued);
  await traffic.stop();
  keep(findings);
  await lab.stop();
  say(table(findings));
  const failed = failures(findings);
  for (const each of failed) say(`FAILED: ${each}`);
  process.exit(failed.length > 0 ? 1 : 0);
}

/** Samples until the time is over. */
async function run(): Promise<void> {
  const isShort = runMs < SHORT_MS;
  const gapMs = isShort ? 2000 : 5000;
  const fillers = WIRES.map((wire) => lab.publishers.find((peer) => peer.wire === wire));
  if (warmMs >= FILL.minWarmUpMs)
    await Promise.all(fillers.map((peer) => peer?.announceMany(FILL.messages, FILL.perSecond)));
  for (let count = 0; Date.now() - startMs < runMs; count += 1) {
    try {
      const sample = await sampler.take({
        counts: Date.now() - startMs >= warmMs,
        withCollection: isShort || count % 6 === 0,
      });
      if (count % 12 === 0) say(progress(sample));
    } catch (error) {
      traffic.errors.push(`no sample: ${error}`);
      if (traffic.errors.length > 20) return;
    }
    await new Promise((resolved) => setTimeout(resolved, Math.max(0, startMs + (count + 1) * gapMs - Date.now())));
  }
}

function progress({ atMs, rssMiB, heapMiB, queued, connectedPeers, published, accepted }: (typeof sampler.samples)[0]) {
  const minutes = ((atMs - startMs) / MINUTE_MS).toFixed(1);
  const heap = heapMiB === undefined ? '' : `, heap ${heapMiB.toFixed(1)} MiB`;
  const active = faults.active(0).map(({ kind }) => kind);
  return [
    `${minutes} min: ${published} published, ${accepted} accepted, ${queued} queued, ${connectedPeers} peers`,
    `, RSS ${rssMiB.toFixed(0)} MiB${heap}${active.length > 0 ? `; ${active.join(', ')}` : ''}`,
  ].join('');
}

/** Resolves with the queues that are still not empty after the deadline. */
async function drain(): Promise<string[]> {
  const left = async () => waiting(parseScrape((await lab.server.get('/metrics')).body));
  const isReady = async () => (await lab.server.get('/health/ready')).status === 200;
  try {
    await waitFor(async () => (await left()).length === 0 && (await isReady()), {
      timeoutMs: DRAIN_DEADLINE_MS,
      what: 'empty queues and readiness',
    });
    return [];
  } catch {
    const ready = await lab.server.get('/health/ready').catch((error: unknown) => ({ status: 0, body: String(error) }));
    return [...(await left().catch(() => [])), ...(ready.status === 200 ? [] : [`not ready: ${ready.body}`])];
  }
}

async function conclude(stillQueued: readonly string[]): Promise<Findings> {
  for (const topic of ['blocks', 'subtrees'])
    for (const { value } of await readRecords(lab.broker.address, topic, () => false))
      ledger.inKafka(protobufStrings(value)[1] ?? '');
  const scrape = parseScrape((await lab.server.get('/metrics')).body);
  const outages = new Map(lab.publishers.map((peer) => [peer.peerId, peer.outagesUntilNow()]));
  const ofBroker = faults.injected
    .filter(({ kind }) => FAULTS[kind] === 'broker')
    .map(({ fromMs, toMs = endMs }) => ({ fromMs, toMs }));
  return {
    seed,
    minutes: (endMs - startMs) / MINUTE_MS,
    warmUpMinutes: warmMs / MINUTE_MS,
    judged: judge(sampler.samples, startMs + warmMs),
    faults: faults.injected,
    balance: ledger.balance(outages, ofBroker),
    bans: traffic.bans,
    wrongBans: await traffic.wrongBans(),
    honestBanned: await traffic.otherBans(),
    honestScored: sumOf(scrape, 'teranode_p2p_scores'),
    breaches: [...sampler.breaches],
    stillQueued,
    dropped: sumOf(scrape, 'teranode_p2p_kafka_dropped_total'),
    errors: traffic.errors,
  };
}

function keep(found: Findings): void {
  mkdirSync(values.out, { recursive: true });
  const title = `Soak of ${Math.round(found.minutes)} minutes with ${found.faults.length} faults`;
  const { samples } = sampler;
  const drawn = {
    title,
    samples,
    judged: found.judged,
    faults: found.faults,
    startMs,
    warmMs: startMs + warmMs,
    endMs,
  };
  writeFileSync(join(values.out, 'soak.svg'), soakChart(drawn));
  const result = {
    machine: describeMachine(),
    ...found,
    failures: failures(found),
    grown: sampler.grown(),
    startMs,
    samples,
  };
  writeFileSync(join(values.out, 'result.json'), `${JSON.stringify(result, null, 2)}\n`);
  keepLog();
}

/** The first 20,000 lines. */
function keepLog(): void {
  mkdirSync(values.out, { recursive: true });
  const log = lab.server.output.json.map((line) => JSON.stringify(line)).join('\n');
  writeFileSync(join(values.out, 'server.log'), `${log}\n`);
}
