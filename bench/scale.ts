// How a network of hundreds of nodes spreads messages: propagation time, duplicates and bytes for our gossip settings
// beside Go's. Prints JSON. Times are virtual: those of the links, without the time that machines take.
//
//   npm run bench:scale -- --nodes 300,1000 --dials 10,25 --messages 40
import { parseArgs } from 'node:util';
import { VirtualTime } from '../test/simulator/virtual-time.ts';
import { Crowd, type CrowdFigures, type CrowdSettings } from './crowd.ts';

const { values } = parseArgs({
  options: {
    nodes: { type: 'string', default: '300' },
    dials: { type: 'string', default: '10' },
    settings: { type: 'string', default: 'ours,go' },
    messages: { type: 'string', default: '30' },
    /** An announcement of a block, and a node status. */
    bytes: { type: 'string', default: '600,1300' },
    seed: { type: 'string', default: '1' },
    /** Instead of the settings' own. */
    floodPublish: { type: 'string' },
    D: { type: 'string' },
  },
});
const numbers = (text: string) => text.split(',').map(Number);
const changes = {
  ...(values.floodPublish === undefined ? {} : { floodPublish: values.floodPublish === 'true' }),
  ...(values.D === undefined ? {} : { D: Number(values.D), Dlo: Number(values.D) - 1, Dhi: 2 * Number(values.D) }),
};

type Measured = CrowdFigures & { readonly seconds: number; readonly rssMb: number };

const rows: Measured[] = [];
for (const nodes of numbers(values.nodes))
  for (const dials of numbers(values.dials))
    for (const settings of values.settings.split(',') as CrowdSettings[]) {
      const startedMs = process.hrtime.bigint();
      const time = new VirtualTime();
      const crowd = await Crowd.create(time, {
        ...{ nodes, dials, settings, latencyMs: [10, 150] as const, seed: Number(values.seed), changes },
      });
      const restore = time.install(crowd.random);
      try {
        await crowd.start();
        for (const bytes of numbers(values.bytes)) {
          const figures = await crowd.measure(Number(values.messages), bytes, 2000);
          const seconds = Math.round(Number(process.hrtime.bigint() - startedMs) / 1e9);
          rows.push({ ...figures, seconds, rssMb: Math.round(process.memoryUsage.rss() / 2 ** 20) });
          process.stderr.write(`${JSON.stringify(rows.at(-1))}\n`);
        }
        await crowd.stop();
      } finally {
        restore();
      }
    }
process.stdout.write(`${JSON.stringify(rows, undefined, 2)}\n`);
