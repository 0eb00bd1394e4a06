// Plays one seed and prints what happened: `npm run simulate -- SEED [--deliveries]`; `npm run simulate -- FROM-TO` plays
// many and prints those that fail.
import { runStory } from './story.ts';

const [argument = '1', ...flags] = process.argv.slice(2);
const [from = 1, to = from] = argument.split('-').map(Number);
const failed: number[] = [];
const startedMs = performance.now();
for (let seed = from; seed <= to; seed += 1) {
  const { violations, digest, trace, events, virtualMs } = await runStory(seed);
  if (violations.length > 0) failed.push(seed);
  if (from === to) {
    const lines = trace.split('\n').filter((line) => flags.includes('--deliveries') || line[10] !== '.');
    process.stdout.write(`${lines.join('\n')}\n${digest}\n${events} events, ${Math.round(virtualMs / 1000)} s\n`);
  } else if (violations.length > 0) process.stdout.write(`seed ${seed}: ${violations.slice(0, 3).join('; ')}\n`);
}
const seconds = (performance.now() - startedMs) / 1000;
process.stdout.write(`${failed.length} of ${to - from + 1} seeds failed, ${seconds.toFixed(1)} s\n`);
process.exitCode = failed.length === 0 ? 0 : 1;
