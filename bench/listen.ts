// Memory and start of a listener in a process of its own: the built package, and a node of ours that publishes subtree
// announcements. Prints JSON.
//
//   npm run build && npm run bench:listen
import { spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import type { Hash } from '../src/domain/ids.ts';
import { MESSAGE_BUS } from '../src/wire/format.ts';
import { DATA_HUB } from '../test/support/network.ts';
import { addressOf, BUS, makeNode } from '../test/support/nodes.ts';
import { REPO } from '../test/support/repo.ts';

const { values } = parseArgs({
  options: {
    rate: { type: 'string', default: '100' },
    seconds: { type: 'string', default: '20' },
    entry: { type: 'string', default: 'dist/bundle/index.js' },
  },
});
const TOPICS = ['block', 'subtree', 'rejected_tx', 'node_status'].map(
  (name) => `teranode/bitcoin/1.0.0/mainnet-${name}`,
);
const [, SUBTREE = ''] = TOPICS;

/** As a user would write it, with times and memory on the only line that it prints. */
const PROGRAM = `
const { listen } = await import(process.argv[1]);
const importedMs = performance.now();
const importedRss = process.memoryUsage.rss();
const listener = listen('mainnet', { bootstrapPeers: [process.argv[2]], allowPrivateIps: true });
await listener.ready;
const readyMs = performance.now();
let events = 0; let firstMs = 0;
const done = setTimeout(() => {
  const mib = (bytes) => Math.round(bytes / 1048576 * 10) / 10;
  const maxRss = process.resourceUsage().maxRSS * 1024;
  console.log(JSON.stringify({ importedMs, readyMs, firstMs, events, importedRssMiB: mib(importedRss), rssMiB: mib(process.memoryUsage.rss()), maxRssMiB: mib(maxRss), heapMiB: mib(process.memoryUsage().heapUsed) }));
  listener.close();
}, Number(process.argv[3]) * 1000);
for await (const event of listener) { if (event.type === 'subtree') { events += 1; firstMs ||= performance.now(); } }
`;

const { node } = await makeNode(BUS);
await node.start(new AbortController().signal, undefined, TOPICS);
const publish = () => {
  const hash = randomBytes(32).toString('hex') as Hash;
  const message = { hash, dataHubUrl: DATA_HUB, peerId: node.hostId(), clientName: 'bench' };
  const bytes = MESSAGE_BUS.encode.subtree?.(message, 'bench');
  if (bytes !== undefined && (node.getTopic(SUBTREE)?.subscribers().length ?? 0) > 0) void node.publish(SUBTREE, bytes);
};
const timer = setInterval(publish, 1000 / Number(values.rate));
const args = ['--input-type=module', '-e', PROGRAM, join(REPO, values.entry), addressOf(node), values.seconds];
const child = spawn(process.execPath, args, { stdio: ['ignore', 'inherit', 'inherit'] });
await new Promise((resolve) => child.once('exit', resolve));
clearInterval(timer);
await node.stop();
