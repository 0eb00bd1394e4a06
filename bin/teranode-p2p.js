#!/bin/sh
':' //; exec node --max-semi-space-size=16 "$0" "$@"
// The line above is read by the shell, which runs this file with Node.js, and skipped by Node.js: a young generation of
// 3 times 16 MB, as in Node.js 22. That of 24 has 64 MB, which saves hardly any CPU here and takes 100 MB.
// Entry of the published program. Plain enough for any old Node to say which one it needs instead of a syntax error.
var needed = [22, 22];
var version = process.versions.node.split('.').map(Number);
if (version[0] < needed[0] || (version[0] === needed[0] && version[1] < needed[1])) {
  console.error('teranode-p2p needs Node ' + needed.join('.') + ' or newer; this is ' + process.version);
  process.exit(1);
}
// Until src/cli/stop-signals.ts takes over: a start that is told to stop before it has begun has not failed.
if (process.argv[2] === 'start') {
  process.on('SIGTERM', () => process.exit(0));
  process.on('SIGINT', () => process.exit(0));
}
import('../dist/cli/main.js').catch((error) => {
  console.error(error);
  process.exit(1);
});
