// All rows of gossip: each receiver at each rate on each wire, our server with each verifier.
import { type VerifierChoice, verifierOf } from '../src/adapters/libp2p/patches/ed25519.ts';
import { P2PError } from '../src/lib/errors.ts';
import { measure, type Row, round } from './measure.ts';
import { PUBLISHERS, type PublisherKind } from './publishers.ts';
import { WIRES, type Wire } from './receiver-port.ts';
import { hasThreads, RECEIVERS } from './receivers.ts';

const CHOICES: readonly VerifierChoice[] = ['auto', 'native', 'libsodium', 'node:crypto'];

export interface RowsOptions {
  readonly wires: readonly Wire[];
  readonly rates: readonly number[];
  readonly seconds: number;
  readonly receivers: readonly string[];
  readonly verifiers: readonly VerifierChoice[];
  readonly publisher: PublisherKind;
}

export function parseWires(text: string): readonly Wire[] {
  return text.split(',').map((each) => oneOf(WIRES, each, 'wire'));
}

export function parsePublisher(text: string): PublisherKind {
  return oneOf(PUBLISHERS, text, 'publisher');
}

export function parseRates(text: string): readonly number[] {
  return text.split(',').map((each) => {
    if (!(Number(each) >= 1)) throw new Error(`invalid rate "${each}" (expected e.g. 1000,3000)`);
    return Number(each);
  });
}

/** Those that load here; the others are named on stderr. */
export function parseVerifiers(text: string): readonly VerifierChoice[] {
  return text
    .split(',')
    .map((each) => oneOf(CHOICES, each, 'verifier'))
    .filter((choice) => {
      try {
        verifierOf(choice);
        return true;
      } catch (error) {
        if (!(error instanceof P2PError)) throw error;
        process.stderr.write(`no rows with the verifier ${choice}: ${error.message}\n`);
        return false;
      }
    });
}

/** Receivers, and sections of the whole benchmark, that `--only` names; default all. */
export function parseOnly(text: string | undefined, sections: readonly string[] = []): readonly string[] {
  const known = [...Object.keys(RECEIVERS), ...sections];
  return text?.split(';').map((each) => oneOf(known, each, 'receiver')) ?? known;
}

function oneOf<T extends string>(known: readonly T[], text: string, what: string): T {
  const found = known.find((each) => each === text);
  if (found === undefined) throw new Error(`no ${what} "${text}" (expected ${known.join(' or ')})`);
  return found;
}

/** Threads are measured where throughput is: at the highest rate. */
function verifiersOf(
  receiver: string,
  ratePerSecond: number,
  { rates, verifiers }: RowsOptions,
): readonly VerifierChoice[] {
  if (receiver === 'go') return ['auto'];
  if (!hasThreads(receiver)) return verifiers;
  if (ratePerSecond < Math.max(...rates)) return [];
  return verifiers.filter((each) => each === 'native' || (each === 'auto' && verifierOf(each).name === 'native'));
}

/** Measures one after the other. */
export async function measureRows(options: RowsOptions, measured: (row: Row) => void): Promise<void> {
  for (const wire of options.wires)
    for (const ratePerSecond of options.rates) {
      let go: Row | undefined;
      for (const receiver of options.receivers)
        for (const verifier of verifiersOf(receiver, ratePerSecond, options)) {
          const { seconds, publisher } = options;
          const row = await measure({ wire, receiver, verifier, ratePerSecond, seconds, publisher });
          if (receiver === 'go') go = row;
          const ratio = go === undefined ? {} : { ratioToGo: round(row.cpuMicrosPerMessage / go.cpuMicrosPerMessage) };
          process.stderr.write(`${JSON.stringify({ ...row, ...ratio })}\n`);
          measured({ ...row, ...ratio });
        }
    }
}
