// The whole benchmark in one run: gossip on both wires at several rates with each verifier, memory after a million
// messages, start, rest and idle peers, ban lookups. Prints JSON, keeps it in bench/results/latest.json as it grows,
// and draws docs/benchmark.svg from it.
//
// --wire go-p2p,message-bus  --rates 10,1000,3000,6000,12000  --seconds 10  --verifier native,libsodium
// --publisher light or library: see bench/publishers.ts
// --only "go;ours, memory;ours, kafka;ours, websocket;start;rest;messages;bans": leaves the others out
// --messages 1000000 --messages-rate 6000: for memory after many messages  --peers 400: idle ones
// --quick: a short form of everything, whose figures say little  --out, --chart: other files
import { execFileSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { REPO } from '../test/support/repo.ts';
import { measureRest, measureStarts } from './at-rest.ts';
import { chart } from './chart.ts';
import { describeMachine } from './machine.ts';
import { measureManyMessages } from './many-messages.ts';
import { RECEIVERS } from './receivers.ts';
import { jsonOf, type Results } from './results.ts';
import { measureRows, parseOnly, parsePublisher, parseRates, parseVerifiers, parseWires } from './rows.ts';

const FULL = { rates: '10,1000,3000,6000,12000', seconds: '10', messages: '1000000', peers: '400', restSeconds: 20 };
const QUICK = { rates: '1000,3000', seconds: '2', messages: '20000', peers: '40', restSeconds: 2 };
const SECTIONS = ['start', 'rest', 'messages', 'bans'] as const;
const BANS_DEADLINE_MS = 600_000;

const { values } = parseArgs({
  options: {
    wire: { type: 'string', default: 'go-p2p,message-bus' },
    rates: { type: 'string' },
    seconds: { type: 'string' },
    verifier: { type: 'string', default: 'native,libsodium' },
    publisher: { type: 'string', default: 'light' },
    only: { type: 'string' },
    messages: { type: 'string' },
    'messages-rate': { type: 'string', default: '6000' },
    peers: { type: 'string' },
    quick: { type: 'boolean', default: false },
    out: { type: 'string', default: join(REPO, 'bench/results/latest.json') },
    chart: { type: 'string', default: join(REPO, 'docs/benchmark.svg') },
  },
});

const form = values.quick ? QUICK : FULL;
const wanted = parseOnly(values.only, SECTIONS);
const isWanted = (section: (typeof SECTIONS)[number]) => wanted.includes(section);
const receivers = wanted.filter((each) => each in RECEIVERS);
const wires = parseWires(values.wire);
const verifiers = parseVerifiers(values.verifier);
/** For what does not depend on it: the first that loads. */
const [verifier = 'auto'] = verifiers;
const publisher = parsePublisher(values.publisher);
const seconds = Number(values.seconds ?? form.seconds);
const load = {
  messages: Number(values.messages ?? form.messages),
  ratePerSecond: Number(values['messages-rate']),
  publisher,
};

const results: Results = {
  benchmark: 'teranode-p2p',
  machine: describeMachine(),
  isQuick: values.quick,
  seconds,
  gossip: [],
  messages: [],
  starts: [],
  rest: [],
  bans: [],
};

/** After each figure, so that a run that ends early leaves what it measured. */
function keep(): void {
  writeFileSync(values.out, jsonOf(results));
}

function measured<T>(list: T[], ...figures: readonly T[]): void {
  list.push(...figures);
  keep();
}

const rates = parseRates(values.rates ?? form.rates);
await measureRows({ wires, rates, seconds, receivers, verifiers, publisher }, (row) => measured(results.gossip, row));
for (const wire of wires) {
  const options = { wire, verifier };
  if (isWanted('start')) measured(results.starts, ...(await measureStarts(options, values.quick ? 1 : 5)));
  const idle = { peers: Number(values.peers ?? form.peers), seconds: form.restSeconds };
  if (isWanted('rest')) measured(results.rest, ...(await measureRest(options, idle)));
  if (isWanted('messages'))
    for (const receiver of ['go', 'ours'] as const)
      measured(results.messages, await measureManyMessages(receiver, options, load));
}
if (isWanted('bans')) {
  const args = ['--expose-gc', join(REPO, 'bench/bans.ts')];
  const output = execFileSync(process.execPath, args, { cwd: REPO, encoding: 'utf8', timeout: BANS_DEADLINE_MS });
  measured(results.bans, ...(JSON.parse(output) as { results: Results['bans'] }).results);
}
keep();
if (results.gossip.length > 0) writeFileSync(values.chart, chart(results));
process.stdout.write(jsonOf(results));
process.exit(0);
