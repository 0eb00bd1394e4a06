#!/usr/bin/env node
// Entry of the published program. Plain enough for any old Node to say which one it needs instead of a syntax error.
var needed = [22, 22];
var version = process.versions.node.split('.').map(Number);
if (version[0] < needed[0] || (version[0] === needed[0] && version[1] < needed[1])) {
  console.error('teranode-p2p needs Node ' + needed.join('.') + ' or newer; this is ' + process.version);
  process.exit(1);
}
// Until src/cli/stop-signals.ts takes over: a start that is told to stop before it has begun has not failed.
if (process.argv[2] === 'start' || process.argv[2] === 'devnet') {
  process.on('SIGTERM', () => process.exit(0));
  process.on('SIGINT', () => process.exit(0));
}
import('../dist/cli/main.js').catch((error) => {
  console.error(error);
  process.exit(1);
});
