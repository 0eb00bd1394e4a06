// `npm run kafka`: a real one-node Apache Kafka on this machine for people to try things with. Ends with Ctrl-C, keeps
// nothing.
import { parseArgs } from 'node:util';
import { KafkaBroker } from '../test/support/kafka-broker.ts';

const { values } = parseArgs({ options: { port: { type: 'string', default: '9092' } } });
const broker = await KafkaBroker.start({ port: Number(values.port) });
process.stdout.write(
  `Kafka answers at ${broker.address}. To use it:\n\n  KAFKA=kafka://${broker.address} npm start\n\nCtrl-C ends it.\n`,
);
await new Promise((resolve) => {
  process.once('SIGINT', resolve);
  process.once('SIGTERM', resolve);
  // Keeps the process alive while the broker runs.
  setInterval(() => {}, 1 << 30);
});
await broker.stop();
process.exit(0);
