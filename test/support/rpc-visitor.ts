// A program that uses the clients of the node's services as the server does, stops them, and then has nothing left to
// do: it ends by itself, or something was left open.
import { GrpcBlockchainClient } from '../../src/adapters/services/blockchain-client.ts';
import { blockAssemblyClient, blockValidationClient } from '../../src/adapters/services/validation-clients.ts';
import { systemClock } from '../../src/ports/clock.ts';

const [address = '', how] = process.argv.slice(2);
const silent = () => {};
const log = { trace: silent, debug: silent, info: silent, warn: silent, error: silent };
const metrics = {
  counter: () => ({ add: silent }),
  gauge: silent,
  gauges: silent,
  histogram: () => ({ observe: silent }),
};
const deps = { log, metrics, clock: systemClock };
const options = { address, maxRetries: 40, retryBackoffMs: 20 };
const client = new GrpcBlockchainClient(deps, options);
await client.start(new AbortController().signal);
const [validation, assembly] = [blockValidationClient(deps, options), blockAssemblyClient(deps, options)];
const heard = new Promise<void>((resolve) => {
  client.subscribe('visitor', () => resolve());
});
const given = new AbortController();
const pending = Promise.allSettled([client.waitUntilFsmLeavesIdle(given.signal), client.bestBlockHeader()]);
if (how === 'connected') await Promise.all([heard, assembly.state(), validation.probe(1000), pending]);
else await Promise.all([validation.probe(200), client.probe(200)]);
await client.stop();
validation.close();
assembly.close();
await pending;
const stoppedMs = performance.now();
process.once('exit', () => process.stdout.write(`${Math.round(performance.now() - stoppedMs)}\n`));
process.stdout.write('stopped\n');
