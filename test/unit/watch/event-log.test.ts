// What the events that are kept may take in memory.
import { expect, test } from 'vitest';
import { NOTIFICATION_TYPES, type Notification } from '../../../src/domain/notification.ts';
import { EventLog } from '../../../src/watch/event-log.ts';
import { FakeNotifications } from '../../fakes/notifications.ts';
import { RecordedMetrics } from '../../fakes/recorders.ts';
import { OWN_STATUS } from '../../support/http.ts';

const MIB = 2 ** 20;

function setUp(maxBytes: number) {
  const [stream, metrics] = [new FakeNotifications(), new RecordedMetrics()];
  const log = new EventLog({ stream, metrics, epoch: 'epoch1' }, { maxEvents: 20_000, maxBytes });
  const kept = () => log.reader(new Set(NOTIFICATION_TYPES), 0).read(1000).events;
  return { stream, metrics, kept };
}

test('the hashes that a node status lists count against the bytes of all events', () => {
  const { stream, metrics, kept } = setUp(MIB);
  const subtrees = Array.from({ length: 3000 }, (_each, i) => i.toString(16).padStart(64, '0'));
  const details = { ...OWN_STATUS.blockAssemblyDetails, subtrees };
  for (let i = 0; i < 20; i += 1) stream.publish({ ...OWN_STATUS, blockAssemblyDetails: details } as Notification);
  // Each is 192 KB of text.
  expect(kept().length).toBeLessThanOrEqual(5);
  expect(kept().length).toBeGreaterThan(0);
  expect(metrics.gaugeValue('teranode_p2p_events_kept_bytes')).toBeGreaterThan(kept().length * 192_000);
});
