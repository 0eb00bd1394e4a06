// A process that writes bans to SQLite one after the other and says so after each, until it is killed.
import { SqliteBanStore } from '../../src/adapters/sql/sqlite-ban-store.ts';

const [path = ''] = process.argv.slice(2);
const silent = () => {};
const log = { trace: silent, debug: silent, info: silent, warn: silent, error: silent };
const store = new SqliteBanStore({ log }, { path });
await store.open();
for (let i = 0; ; i += 1) {
  await store.putBan({
    key: `key${i}`,
    kind: 'address',
    untilMs: Date.now() + 60_000,
    createdAtMs: Date.now(),
    reason: 'spam',
    evidence: 'x'.repeat(i % 5000),
    source: 'automatic',
    causedBy: undefined,
  });
  process.stdout.write(`${JSON.stringify({ written: i })}\n`);
  // Lets the pipe drain: what is reported has left this process.
  await new Promise((resolve) => setImmediate(resolve));
}
