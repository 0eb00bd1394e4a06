// `npm run kafka`: a real one-node Apache Kafka on this machine for people to try things with. Ends with Ctrl-C or with
// its broker, keeps nothing. Exit code 0: stopped on request; 1: the broker did not start, or ended by itself.
import { parseArgs } from 'node:util';
import { isFreePort, KafkaBroker } from '../test/support/kafka-broker.ts';

const { values } = parseArgs({ options: { port: { type: 'string', default: '9092' } } });
const port = Number(values.port);

// From the first line on, because a process that a signal kills leaves its broker running.
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => process.exit(0));

function fail(reason: string): never {
  process.stderr.write(`${reason}\n`);
  process.exit(1);
}

if (!(await isFreePort(port))) fail(`port ${port} is in use: choose another one, npm run kafka -- --port 19092`);
const broker = await KafkaBroker.start({ port }).catch((error: unknown) => fail(String(error)));
process.stdout.write(
  `Kafka answers at ${broker.address}. To use it:\n\n  KAFKA=kafka://${broker.address} npm start\n\nCtrl-C ends it.\n`,
);
fail(`The Kafka broker at ${broker.address} has ended (${await broker.ended()}).`);
