// Lists the DataHubs of the network with their fees, as they are announced and checked.
//
//   node examples/list-endpoints.ts mainnet
//   node examples/list-endpoints.ts regtest /ip4/127.0.0.1/tcp/9905/p2p/12D3Koo…
//
// In a project of its own the import is from 'teranode-p2p'.
import { endpoints, type Network } from '../src/index.ts';

const [network = 'mainnet', ...bootstrapPeers] = process.argv.slice(2);
const stop = new AbortController();
for (const signal of ['SIGINT', 'SIGTERM']) process.once(signal, () => stop.abort());

const options = { signal: stop.signal, ...(bootstrapPeers.length > 0 ? { bootstrapPeers } : {}) };
for await (const event of endpoints(network as Network, options)) {
  if (event.type !== 'endpoint' || event.endpoint.kind !== 'datahub') continue;
  const { url, clientName = 'unnamed', storage = 'unknown', minMiningTxFee, checked } = event.endpoint;
  const fee = minMiningTxFee === undefined ? 'no fee announced' : `${minMiningTxFee} BSV per kilobyte`;
  const state = checked.answers === true ? `answers, same chain: ${checked.sameGenesis ?? 'unknown'}` : checked.reason;
  console.log(`${url} (${clientName}, storage ${storage}, ${fee}): ${state}`);
}
