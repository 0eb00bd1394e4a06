// Watches over a feed: prints a line per interval with what came and what was dropped, and warns when blocks or
// subtrees have fallen silent although peers are connected.
//
//   node examples/monitor-feeds.ts mainnet
//   INTERVAL_MS=1000 SILENT_MS=2000 node examples/monitor-feeds.ts regtest /ip4/127.0.0.1/tcp/9905/p2p/12D3Koo…
//
// In a project of its own the import is from 'teranode-p2p'.
import { listen, type Network } from '../src/index.ts';

const [network = 'mainnet', ...bootstrapPeers] = process.argv.slice(2);
const intervalMs = Number(process.env.INTERVAL_MS ?? 10_000);
// Blocks come every ten minutes, subtrees every second or so.
const [blockMs, subtreeMs] = process.env.SILENT_MS ? Array(2).fill(Number(process.env.SILENT_MS)) : [7_200_000, 60_000];
const stop = new AbortController();
for (const signal of ['SIGINT', 'SIGTERM']) process.once(signal, () => stop.abort());

const listener = listen(network as Network, {
  signal: stop.signal,
  silentAfterMs: { block: blockMs, subtree: subtreeMs },
  ...(bootstrapPeers.length > 0 ? { bootstrapPeers } : {}),
});
const timer = setInterval(() => {
  const { received, dropped, lost, connectedPeers } = listener.stats();
  console.log(JSON.stringify({ connectedPeers, received, dropped, lost }));
}, intervalMs);
for await (const event of listener) {
  if (event.type === 'silent') console.log(`no ${event.topic} since ${new Date(event.sinceMs).toISOString()}`);
}
clearInterval(timer);
