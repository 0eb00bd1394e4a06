#!/bin/sh
# Runs a command with a Node that can run TypeScript: the one that `npm ci` installed, else the one on PATH. Every
# script of package.json goes through here, because npm 9 and 10 do not link the installed Node into node_modules/.bin.
# A shell script can exec: the command replaces this process, so its signals, exit code and terminal are unchanged.
root=$(cd "$(dirname "$0")/.." && pwd)

for node in "$root"/node_modules/node-linux-*/bin/node node; do
  found=$("$node" -v 2>/dev/null)
  case $found in
    # 22.22 is what the dependencies need; 23 is not maintained.
    v22.2[2-9].* | v22.[3-9][0-9].* | v2[4-9].* | v[3-9][0-9].*)
      [ "$node" = node ] || export PATH="${node%/*}:$PATH"
      exec "$@"
      ;;
  esac
done

echo "teranode-p2p needs Node.js 24 (22.22 or newer of Node.js 22 works too), found ${found:-none}: install it from" \
  "https://nodejs.org; on Linux x64 and arm64, npm ci in $root installs it unless optional packages are omitted" >&2
exit 1
