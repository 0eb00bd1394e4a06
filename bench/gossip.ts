// Side by side, in one run on one machine: a Go publisher of subtree announcements against a bare Go receiver and our
// server with the in-process broker, with a real Kafka broker and with a WebSocket client. Prints JSON: received,
// unique, lost, CPU per message, memory, ratio to Go's, and the latency from the publisher to what stands behind the
// receiver: a consumer of the topic, or the client. `--wire message-bus` measures that wire, with a bare client of
// go-p2p-message-bus as the Go receiver. `--rates 1000,3000` and `--seconds 10` change what is run; `--only a;b` leaves
// receivers out; `--verifier libsodium,node:crypto` measures our server with each of these; `--publisher light` takes
// less of the machine (bench/publishers.ts).
import { parseArgs } from 'node:util';
import { describeMachine } from './machine.ts';
import type { Row } from './measure.ts';
import { measureRows, parseOnly, parsePublisher, parseRates, parseVerifiers, parseWires } from './rows.ts';

const { values } = parseArgs({
  options: {
    wire: { type: 'string', default: 'go-p2p' },
    rates: { type: 'string', default: '1000,3000,6000' },
    seconds: { type: 'string', default: '10' },
    only: { type: 'string' },
    verifier: { type: 'string', default: 'auto' },
    publisher: { type: 'string', default: 'library' },
  },
});

const results: Row[] = [];
await measureRows(
  {
    wires: parseWires(values.wire),
    rates: parseRates(values.rates),
    seconds: Number(values.seconds),
    receivers: parseOnly(values.only),
    verifiers: parseVerifiers(values.verifier),
    publisher: parsePublisher(values.publisher),
  },
  (row) => results.push(row),
);
const output = { benchmark: 'gossip', wire: values.wire, machine: describeMachine(), results };
process.stdout.write(`${JSON.stringify(output, null, 2)}\n`);
process.exit(0);
