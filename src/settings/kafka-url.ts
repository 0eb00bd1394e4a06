// Kafka URLs as in the Teranode settings: they name several brokers in the host part, which `new URL` does not accept.
import { P2PError } from '../lib/errors.ts';
import { withoutAnyPassword, withoutPasswords } from '../lib/masking.ts';

export interface KafkaUrl {
  /** `memory`: the broker inside this process. */
  readonly scheme: 'kafka' | 'memory';
  /** Each is `host:port`. */
  readonly brokers: readonly string[];
  readonly topic: string;
  readonly partitions: number;
  readonly replication: number;
  readonly retentionMs: number;
  readonly segmentBytes: number;
  /** A batch of this many bytes or messages is sent as soon as the one before it is acknowledged. */
  readonly flushBytes: number;
  readonly flushMessages: number;
  /**
   * Smaller batches start this long after one another (at least 4 ms at 1,000 messages per second, 10 ms from 2,500 on);
   * the first message after a pause is sent at once.
   */
  readonly flushIntervalMs: number;
  readonly consumerRatio: number;
  /** partitions / consumer_ratio, at least 1. */
  readonly consumers: number;
  /** A new group starts from the oldest offset. */
  readonly replay: boolean;
}

const URL_FORM = /^(kafka|memory):\/\/([^/?#]+)\/([A-Za-z0-9._-]{1,249})(?:\?([^#]*))?$/;
const BROKER_FORM = /^(?:\[[0-9a-fA-F:.]+\]|[A-Za-z0-9._-]+)(?::(\d{1,5}))?$/;
const DEFAULT_KAFKA_PORT = 9092;
/**
 * Ours; the Go service has 10 s. At 1,000 messages per second it sends two or three at a time: shorter ones cost more
 * CPU per message, longer ones delay each message by half of the difference.
 */
const DEFAULT_FLUSH_INTERVAL_MS = 2;

/**
 * Parses a Kafka URL. Unknown parameters are ignored, as in the Go service. Throws KAFKA_URL_INVALID, which says what
 * is expected.
 */
export function parseKafkaUrl(text: string): KafkaUrl {
  const match = URL_FORM.exec(text.trim());
  if (match === null)
    throw invalid(text, 'invalid Kafka URL (expected kafka://host1:port,host2:port/topic?… or memory://host/topic)');
  const [, scheme, hosts = '', topic = '', query = ''] = match;
  const parameters = new URLSearchParams(query);
  const whole = (name: string, fallback: number, min: number, max: number) => {
    const value = parameters.get(name);
    if (value === null || value === '') return fallback;
    const number = Number(value);
    if (!/^-?\d{1,16}$/.test(value) || number < min || number > max) {
      throw invalid(text, `invalid ${name} "${value}" (expected an integer from ${min} to ${max})`);
    }
    return number;
  };
  const partitions = whole('partitions', 1, 1, 10_000);
  const consumerRatio = whole('consumer_ratio', 1, 1, 10_000);
  return {
    scheme: scheme as KafkaUrl['scheme'],
    brokers: brokersOf(text, hosts),
    topic,
    partitions,
    replication: whole('replication', 1, 1, 100),
    retentionMs: whole('retention', 600_000, -1, Number.MAX_SAFE_INTEGER),
    segmentBytes: whole('segment_bytes', 1_073_741_824, 14, 2_147_483_647),
    flushBytes: whole('flush_bytes', 1_048_576, 0, 1_073_741_824),
    flushMessages: whole('flush_messages', 50_000, 0, 10_000_000),
    flushIntervalMs: intervalOf(text, parameters.get('flush_frequency')),
    consumerRatio,
    consumers: Math.max(1, Math.floor(partitions / consumerRatio)),
    replay: whole('replay', 1, 0, 1) === 1,
  };
}

function brokersOf(text: string, hosts: string): string[] {
  return hosts.split(',').map((host) => {
    const match = BROKER_FORM.exec(host.trim());
    const port = match?.[1] === undefined ? DEFAULT_KAFKA_PORT : Number(match[1]);
    if (match === null || port < 1 || port > 65_535)
      throw invalid(text, `invalid broker "${withoutAnyPassword(host)}" (expected host:port)`);
    return match[1] === undefined ? `${host.trim()}:${port}` : host.trim();
  });
}

const UNIT_MS: Readonly<Record<string, number>> = { ms: 1, s: 1000, m: 60_000, h: 3_600_000 };

function intervalOf(text: string, value: string | null): number {
  if (value === null || value === '') return DEFAULT_FLUSH_INTERVAL_MS;
  const parts = [...value.matchAll(/(\d+(?:\.\d+)?)(ms|s|m|h)/g)];
  const ms = parts.reduce((sum, [, number, unit]) => sum + Number(number) * (UNIT_MS[unit ?? ''] ?? 0), 0);
  if (parts.map(([whole]) => whole).join('') !== value || ms <= 0 || ms > 3_600_000) {
    throw invalid(text, `invalid flush_frequency "${value}" (expected a duration up to 1h, such as 250ms or 10s)`);
  }
  return ms;
}

function invalid(text: string, why: string): P2PError {
  return new P2PError('KAFKA_URL_INVALID', why, { details: { url: withoutPasswords(text).slice(0, 300) } });
}
