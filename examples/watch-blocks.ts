// Prints every block that a node of the network announces.
//
//   node examples/watch-blocks.ts mainnet
//   node examples/watch-blocks.ts regtest /ip4/127.0.0.1/tcp/9905/p2p/12D3Koo…
//
// In a project of its own the import is from 'teranode-p2p'.
import { listen, type Network } from '../src/index.ts';

const [network = 'mainnet', ...bootstrapPeers] = process.argv.slice(2);
const stop = new AbortController();
for (const signal of ['SIGINT', 'SIGTERM']) process.once(signal, () => stop.abort());

const options = { signal: stop.signal, ...(bootstrapPeers.length > 0 ? { bootstrapPeers } : {}) };
for await (const event of listen(network as Network, options)) {
  if (event.type === 'block') console.log(`block ${event.height} ${event.hash} from ${event.author}`);
  if (event.type === 'lost') console.log(`${event.count} events lost: read faster, or raise maxQueuedEvents`);
}
