// Preloaded into a program that runs with --expose-gc: at SIGUSR2 it collects garbage and writes what is left on the heap and
// in buffers.
process.on('SIGUSR2', () => {
  globalThis.gc();
  const { heapUsed: bytes, arrayBuffers } = process.memoryUsage();
  process.stdout.write(`${JSON.stringify({ event: 'collected', bytes, withBuffers: bytes + arrayBuffers })}\n`);
});
