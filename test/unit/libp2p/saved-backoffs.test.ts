// Which back-offs are kept across restarts.
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { SavedBackoffs } from '../../../src/adapters/libp2p/gossipsub/saved-backoffs.ts';
import { FakeClock, recordingLogger } from '../../fakes/recorders.ts';
import { temporaryFolder } from '../../support/cleanup.ts';

function setUp() {
  const [clock, log, file] = [new FakeClock(), recordingLogger(), join(temporaryFolder('backoffs'), 'backoffs.json')];
  const open = (backoffs = new Map<string, Map<string, number>>()) => ({
    backoffs,
    saved: new SavedBackoffs({ log, clock, backoffs, connectedPeers: () => ['peer 2999'] }, file, ['block', 'subtree']),
  });
  return { clock, log, file, open };
}

test('those that have not ended are read back, with their ends', async () => {
  const { clock, open } = setUp();
  const nowMs = clock.now();
  const { saved } = open(
    new Map([
      ['block', new Map([['a', nowMs + 60_000]])],
      ['subtree', new Map([['a', nowMs + 10_000]])],
      ['other', new Map([['a', nowMs + 60_000]])],
    ]),
  );
  await saved.save();
  clock.advance(20_000);
  const { saved: next, backoffs } = open();
  await next.load();
  expect(backoffs).toEqual(new Map([['block', new Map([['a', nowMs + 60_000]])]]));
});

test('the file is written when something changed, and holds 2,000, those of connected peers first', async () => {
  const { clock, file, open } = setUp();
  const peers = new Map(Array.from({ length: 3000 }, (_each, i) => [`peer ${i}`, clock.now() + 1000 + i]));
  const { saved } = open(new Map([['block', peers]]));
  await saved.save();
  const { backoffs } = JSON.parse(readFileSync(file, 'utf8'));
  expect(backoffs).toHaveLength(2000);
  expect(backoffs[0][1]).toBe('peer 2999');
  expect(backoffs.at(-1)[1]).toBe('peer 1998');
  writeFileSync(file, 'untouched');
  await saved.save();
  expect(readFileSync(file, 'utf8')).toBe('untouched');
});

test.each(['', '[]', '{"version":1,"backoffs":[["block","a"]]}', 'x'.repeat(2 ** 20 + 1)])(
  'a damaged file is logged and ignored (%#)',
  async (text) => {
    const { file, log, open } = setUp();
    writeFileSync(file, text);
    const { saved, backoffs } = open();
    await saved.load();
    expect(backoffs.size).toBe(0);
    expect(log.lines).toMatchObject([{ level: 'warn', event: 'failed to read gossip back-offs' }]);
  },
);

test('an end too far away is not taken over, and a missing file is no error', async () => {
  const { clock, file, log, open } = setUp();
  const { saved, backoffs } = open();
  await saved.load();
  writeFileSync(file, JSON.stringify({ version: 1, backoffs: [['block', 'a', clock.now() + 10 * 3_600_000]] }));
  await saved.load();
  expect(backoffs.size).toBe(0);
  expect(log.lines).toEqual([]);
});
