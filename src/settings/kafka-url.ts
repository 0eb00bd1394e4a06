// Kafka URLs as Teranode's settings write them: several brokers in the host part, which makes them no valid URL for `new URL`.
import { P2PError } from '../lib/errors.ts';

export interface KafkaUrl {
  /** `memory` is the in-process broker. */
  readonly scheme: 'kafka' | 'memory';
  /** `host:port` each. */
  readonly brokers: readonly string[];
  readonly topic: string;
  readonly partitions: number;
  readonly replication: number;
  readonly retentionMs: number;
  readonly segmentBytes: number;
  /** Whichever of the three is reached first makes a batch go. */
  readonly flushBytes: number;
  readonly flushMessages: number;
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
/** Ours: a block must not wait for Go's default of 10 s. */
const DEFAULT_FLUSH_INTERVAL_MS = 20;

/** Parses such a URL; unknown parameters are ignored, as in Go. Throws KAFKA_URL_INVALID, which says what would be right. */
export function parseKafkaUrl(text: string): KafkaUrl {
  const match = URL_FORM.exec(text.trim());
  if (match === null) throw invalid(text, 'must be kafka://host1:port,host2:port/topic?… or memory://host/topic');
  const [, scheme, hosts = '', topic = '', query = ''] = match;
  const parameters = new URLSearchParams(query);
  const whole = (name: string, fallback: number, min: number, max: number) => {
    const value = parameters.get(name);
    if (value === null || value === '') return fallback;
    const number = Number(value);
    if (!/^-?\d{1,16}$/.test(value) || number < min || number > max) {
      throw invalid(text, `${name} must be a whole number from ${min} to ${max}, not ${value}`);
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
    if (match === null || port < 1 || port > 65_535) throw invalid(text, `${host} is no host:port`);
    return match[1] === undefined ? `${host.trim()}:${port}` : host.trim();
  });
}

const UNIT_MS: Readonly<Record<string, number>> = { ms: 1, s: 1000, m: 60_000, h: 3_600_000 };

function intervalOf(text: string, value: string | null): number {
  if (value === null || value === '') return DEFAULT_FLUSH_INTERVAL_MS;
  const parts = [...value.matchAll(/(\d+(?:\.\d+)?)(ms|s|m|h)/g)];
  const ms = parts.reduce((sum, [, number, unit]) => sum + Number(number) * (UNIT_MS[unit ?? ''] ?? 0), 0);
  if (parts.map(([whole]) => whole).join('') !== value || ms <= 0 || ms > 3_600_000) {
    throw invalid(text, `flush_frequency must be a duration up to 1h such as 250ms or 10s, not ${value}`);
  }
  return ms;
}

function invalid(text: string, why: string): P2PError {
  return new P2PError('KAFKA_URL_INVALID', why, { details: { url: text.slice(0, 300) } });
}
