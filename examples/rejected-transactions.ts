// Prints the transactions that nodes refuse, with the reason, and counts them by node at the end.
//
//   node examples/rejected-transactions.ts mainnet
//   node examples/rejected-transactions.ts regtest /ip4/127.0.0.1/tcp/9905/p2p/12D3Koo…
//
// In a project of its own the import is from 'teranode-p2p'.
import { listen, type Network } from '../src/index.ts';

const [network = 'mainnet', ...bootstrapPeers] = process.argv.slice(2);
const stop = new AbortController();
for (const signal of ['SIGINT', 'SIGTERM']) process.once(signal, () => stop.abort());

const counts = new Map<string, number>();
const options = { signal: stop.signal, ...(bootstrapPeers.length > 0 ? { bootstrapPeers } : {}) };
for await (const event of listen(network as Network, options)) {
  if (event.type !== 'rejected_tx') continue;
  console.log(`rejected ${event.txId}: ${event.reason}`);
  counts.set(event.author, (counts.get(event.author) ?? 0) + 1);
}
for (const [author, count] of counts) console.log(`${author} refused ${count}`);
