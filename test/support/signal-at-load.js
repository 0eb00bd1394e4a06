// Preloaded into a program: sends it the signal that a supervisor would, at the moment at which it loads the module whose URL holds SIGNAL_AT.
import { registerHooks } from 'node:module';

registerHooks({
  load(url, context, nextLoad) {
    if (url.includes(process.env.SIGNAL_AT)) {
      process.stdout.write(`${JSON.stringify({ event: 'signalled', url })}\n`);
      process.kill(process.pid, 'SIGTERM');
    }
    return nextLoad(url, context);
  },
});
