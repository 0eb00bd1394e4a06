// A program that has nothing to stop.
import { stopDone, stopSignal } from '../../src/cli/stop-signals.ts';

process.on('SIGINT', () => console.log('signal'));
const stop = stopSignal();
const running = setInterval(() => {}, 1000);
stop.addEventListener('abort', async () => {
  clearInterval(running);
  await stopDone();
  console.log('stopped');
});
console.log('running');
