// Preloaded into a server to see that a soak finds a leak: each second a megabyte of memory and a file that stays open.
import { openSync } from 'node:fs';

const kept = [];
if (process.argv[2] === 'start')
  setInterval(() => {
    kept.push(
      Array.from({ length: 131_072 }, (_each, i) => i + 0.5),
      openSync('/dev/null'),
    );
  }, 1000).unref();
