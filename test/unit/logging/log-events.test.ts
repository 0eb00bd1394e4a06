// docs/log-events.md is made from the calls of the logger in the sources.
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { logEventsDocument } from '../../../scripts/docs-log-events.ts';
import { logEvents } from '../../../scripts/log-events.ts';
import { REPO } from '../../support/repo.ts';

test('docs/log-events.md lists the log events of the sources', () => {
  expect(readFileSync(join(REPO, 'docs/log-events.md'), 'utf8')).toBe(logEventsDocument());
});

test('log events are found with the levels that a call chooses from and the fields of a variable', () => {
  const events = logEvents(REPO);
  const named = (event: string) => events.find((each) => each.event === event);

  expect(named('Kafka unavailable')).toMatchObject({ level: 'debug or warn', fields: ['topic', 'brokers', 'reason'] });
  expect(named('Kafka available again')).toMatchObject({ level: 'info', fields: ['topic'] });
  expect(named('ready')?.fields).toContain('listenAddresses');
});
