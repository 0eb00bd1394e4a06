// Loaded into the server before its program: steps its clock and says what a collection of garbage leaves in memory, as
// told on a socket. The clock is the one that JavaScript reads; the machine's stays, for the peers, the broker and the
// database have it too.
import { createServer } from 'node:net';
import { createInterface } from 'node:readline';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';

let stepMs = 0;
const realNow = Date.now;
const now = () => realNow() + stepMs;
Date.now = now;
globalThis.Date = new Proxy(Date, {
  construct: (target, args, made) => Reflect.construct(target, args.length === 0 ? [now()] : args, made),
  apply: () => new Date(now()).toString(),
});

setFlagsFromString('--expose-gc');
const collectGarbage = runInNewContext('gc');

function collect() {
  collectGarbage();
  const { heapUsed, arrayBuffers, external } = process.memoryUsage();
  return { heapUsed, arrayBuffers, external };
}

// npm, which starts the server, gets the same environment.
if (process.argv[2] === 'start' && process.env.SOAK_SOCKET !== undefined && /run\.js$/.test(process.argv[1] ?? '')) {
  createServer((socket) => {
    socket.unref();
    socket.on('error', () => {});
    createInterface({ input: socket }).on('line', (line) => {
      const { step } = JSON.parse(line);
      if (step !== undefined) stepMs = step;
      socket.write(`${JSON.stringify(step === undefined ? collect() : {})}\n`);
    });
  })
    .listen(process.env.SOAK_SOCKET)
    .unref();
}
