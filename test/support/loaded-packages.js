// Preloaded into a program: writes a line for each package of node_modules as the first of its modules is loaded.
import { registerHooks } from 'node:module';

const seen = new Set();

registerHooks({
  load(url, context, nextLoad) {
    const name = /.*\/node_modules\/((?:@[^/]+\/)?[^/]+)\//.exec(url)?.[1];
    if (name !== undefined && !seen.has(name)) {
      seen.add(name);
      process.stdout.write(`${JSON.stringify({ level: 'info', event: 'package loaded', name })}\n`);
    }
    return nextLoad(url, context);
  },
});
