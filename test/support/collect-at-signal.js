// Preloaded into a program that runs with --expose-gc: at SIGUSR2 it collects garbage and writes what is left on the heap.
process.on('SIGUSR2', () => {
  globalThis.gc();
  process.stdout.write(`${JSON.stringify({ event: 'collected', bytes: process.memoryUsage().heapUsed })}\n`);
});
