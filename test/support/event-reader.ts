// A program that follows `/api/v1/events` with Node's own EventSource and writes each event into a file before it reads
// the next, until it is killed. Started again, it continues after the last event in the file. Needs
// --experimental-eventsource.
import { appendFileSync, existsSync, readFileSync } from 'node:fs';

interface Received extends Event {
  readonly data: string;
  readonly lastEventId: string;
}

/** As far as it is used here; the types of Node do not have it. */
interface Source {
  addEventListener(type: string, listener: (event: Received) => void): void;
}

const [url = '', file = '', ...types] = process.argv.slice(2);
const text = existsSync(file) ? readFileSync(file, 'utf8') : '';
// Without a line that was cut off.
const whole = text.slice(0, text.lastIndexOf('\n') + 1).trimEnd();
const [lastId] = whole.slice(whole.lastIndexOf('\n') + 1).split(' ');
const { EventSource } = globalThis as unknown as { EventSource: new (url: string) => Source };
const source = new EventSource(lastId ? `${url}?since=${lastId}` : url);
source.addEventListener('open', () => process.stdout.write('{"open":true}\n'));
for (const type of [...types, 'lost']) {
  source.addEventListener(type, ({ data, lastEventId }) => appendFileSync(file, `${lastEventId} ${data}\n`));
}
// While EventSource waits to connect again, nothing else keeps this process alive.
setInterval(() => {}, 60_000);
