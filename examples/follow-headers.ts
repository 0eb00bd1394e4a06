// Follows the chain of headers: prints each new tip, and each reorganization with the blocks that it undoes.
//
//   node examples/follow-headers.ts mainnet
//   node examples/follow-headers.ts regtest /ip4/127.0.0.1/tcp/9905/p2p/12D3Koo…
//
// In a project of its own the import is from 'teranode-p2p'.
import { headers, type Network } from '../src/index.ts';

const [network = 'mainnet', ...bootstrapPeers] = process.argv.slice(2);
const stop = new AbortController();
for (const signal of ['SIGINT', 'SIGTERM']) process.once(signal, () => stop.abort());

const options = { signal: stop.signal, depth: 144, ...(bootstrapPeers.length > 0 ? { bootstrapPeers } : {}) };
for await (const event of headers(network as Network, options)) {
  if (event.type === 'tip') console.log(`tip ${event.height} ${event.hash}`);
  if (event.type === 'reorg') {
    const undone = event.from.height - event.fork.height;
    console.log(`reorg: ${undone} blocks after ${event.fork.height} ${event.fork.hash} are undone`);
  }
}
