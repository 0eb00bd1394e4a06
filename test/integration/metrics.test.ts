// What a started server says in /metrics, and the documents that speak of it.
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type MeasuredServer, metricsDocument, startMeasured } from '../../scripts/docs-metrics.ts';
import { MemoryBroker, MemoryProducer } from '../../src/adapters/memory/broker.ts';
import { type MetricDescription, PrometheusMetrics } from '../../src/adapters/metrics/prometheus.ts';
import { RecordedMetrics } from '../fakes/recorders.ts';
import { REPO } from '../support/repo.ts';
import { TEXT_CODEC } from '../support/text-codec.ts';

let server: MeasuredServer;
let byName: ReadonlyMap<string, MetricDescription>;

beforeAll(async () => {
  server = await startMeasured();
  byName = new Map(server.metrics.map((metric) => [metric.name, metric]));
});

afterAll(() => server?.stop());

function document(name: string): string {
  return readFileSync(join(REPO, 'docs', name), 'utf8');
}

async function scrape(): Promise<string> {
  const answer = await fetch(`http://${server.httpAddress}/metrics`);
  expect(answer.headers.get('content-type')).toContain('text/plain');
  return await answer.text();
}

/** Names of the samples of a scrape, with their labels. */
function samples(text: string): { readonly name: string; readonly labels: readonly string[] }[] {
  return [...text.matchAll(/^([a-z_0-9]+)(?:\{(.*)\})? /gm)].map(([, name = '', labels = '']) => ({
    name,
    labels: [...labels.matchAll(/([A-Za-z_]+)="/g)].map(([, label = '']) => label),
  }));
}

/** The metric that a name of a sample belongs to: a histogram has three. */
function metricOf(sample: string): MetricDescription | undefined {
  const whole = byName.get(sample);
  const histogram = byName.get(sample.replace(/_(bucket|sum|count)$/, ''));
  return whole ?? (histogram?.type === 'histogram' ? histogram : undefined);
}

describe('/metrics', () => {
  test('docs/metrics.md is the table of what a started server exposes', () => {
    expect(document('metrics.md')).toBe(metricsDocument(server.metrics));
  });

  test('a scrape has exactly the metrics of the table', async () => {
    const typed = [...(await scrape()).matchAll(/^# TYPE (\S+) (\S+)$/gm)].map(([, name, type]) => `${name} ${type}`);
    const rows = [...document('metrics.md').matchAll(/^\| `(\w+)` \| (\w+) \|/gm)];
    expect(typed.sort()).toEqual(rows.map(([, name, type]) => `${name} ${type}`).sort());
  });

  test('samples carry the labels of the table', async () => {
    for (const { name, labels } of samples(await scrape())) {
      const known = metricOf(name);
      expect(known, name).toBeDefined();
      expect([...(known?.labelNames ?? []), 'le'], name).toEqual(expect.arrayContaining([...labels]));
    }
  });

  test('every name in the sources is in the table', () => {
    const names = readdirSync(join(REPO, 'src'), { recursive: true, encoding: 'utf8' })
      .filter((name) => name.endsWith('.ts') && !name.startsWith('gen/'))
      .flatMap((name) => [
        ...readFileSync(join(REPO, 'src', name), 'utf8').matchAll(/\.(?:counter|gauge|histogram)\(\s*'(\w+)'/g),
      ]);
    expect(names.length).toBeGreaterThan(50);
    for (const [, name = ''] of names) expect(byName.has(name), name).toBe(true);
  });

  test('names and units follow the conventions of Prometheus', () => {
    for (const { name, type, help } of server.metrics.filter((each) => each.name.startsWith('teranode_p2p_'))) {
      expect(name.endsWith('_total'), name).toBe(type === 'counter');
      expect(name).not.toMatch(/milli|micro|_ms(_|$)|minutes|hours|kilo|mega/);
      if (type === 'histogram') expect(name).toMatch(/_(seconds|bytes)$/);
      expect(help.length, name).toBeGreaterThan(10);
    }
  });
});

test('a counter that an alert watches is present before its first event', async () => {
  const text = await scrape();
  const watched = [...document('alerts.yml').matchAll(/increase\((\w+_total)(?:\{([^}]*)\})?/g)];
  expect(watched.length).toBeGreaterThan(3);
  for (const [, name = '', label = ''] of watched) {
    const series = text.split('\n').filter((line) => line.startsWith(name) && line.includes(label));
    expect(series.length, name).toBeGreaterThan(0);
  }
});

describe('a histogram', () => {
  test('counts values up to each bound, and those above', async () => {
    const metrics = new PrometheusMetrics();
    const histogram = metrics.histogram('teranode_p2p_test_seconds', 'For a test', [0.1, 1], ['topic']);
    for (const value of [0.1, 0.5, 0.5, 7]) histogram.observe(value, { topic: 'a' });
    metrics.histogram('teranode_p2p_test_seconds', 'For a test', [0.1, 1], ['topic']).observe(0, { topic: 'b' });
    const { body } = await metrics.scrape();
    expect(body).toContain('teranode_p2p_test_seconds_bucket{le="0.1",topic="a"} 1\n');
    expect(body).toContain('teranode_p2p_test_seconds_bucket{le="1",topic="a"} 3\n');
    expect(body).toContain('teranode_p2p_test_seconds_bucket{le="+Inf",topic="a"} 4\n');
    expect(body).toContain('teranode_p2p_test_seconds_sum{topic="a"} 8.1\n');
    expect(body).toContain('teranode_p2p_test_seconds_count{topic="a"} 4\n');
    expect(body).toContain('teranode_p2p_test_seconds_count{topic="b"} 1\n');
    expect((await metrics.scrape()).body).toContain('teranode_p2p_test_seconds_count{topic="a"} 4\n');
  });
});

test('a producer observes how long each message took to the broker', () => {
  const metrics = new RecordedMetrics();
  const broker = new MemoryBroker({ metrics }, { maxMessages: 10, maxBytes: 1000 });
  const producer = new MemoryProducer({ broker, metrics }, { topic: 'blocks', ...TEXT_CODEC });
  producer.publish('a');
  producer.publish('b');
  const times = metrics.observed('teranode_p2p_kafka_delivery_seconds', { topic: 'blocks' });
  expect(times).toHaveLength(2);
  expect(times.every((seconds) => seconds >= 0 && seconds < 1)).toBe(true);
});

describe('dashboard and alerts', () => {
  /** What Prometheus adds to every sample. */
  const ADDED = ['instance', 'job', 'le'];

  /** What is wrong with the names and labels of an expression. */
  function wrongWith(expression: string): string[] {
    const selectors = [...expression.matchAll(/\b((?:teranode_p2p|process|nodejs)_\w+)(?:\{([^}]*)\})?/g)];
    const allowed = new Set(ADDED);
    const wrong = selectors.flatMap(([, name = '', matchers = '']) => {
      const metric = metricOf(name);
      if (metric === undefined) return [`no metric ${name}`];
      if (metric.type === 'histogram' && name === metric.name) return [`${name} is a histogram`];
      for (const label of metric.labelNames) allowed.add(label);
      const asked = [...matchers.matchAll(/(\w+)\s*(?:=~|!~|!=|=)/g)].map(([, label = '']) => label);
      return asked
        .filter((label) => ![...ADDED, ...metric.labelNames].includes(label))
        .map((label) => `${name} has no label ${label}`);
    });
    const grouped = [...expression.matchAll(/\b(?:by|on)\s*\(([^)]*)\)/g)].flatMap(([, list = '']) =>
      list.split(/,\s*/),
    );
    wrong.push(...grouped.filter((label) => !allowed.has(label)).map((label) => `nothing has the label ${label}`));
    // A counter is of use only as a rate or an increase.
    for (const [, name = ''] of expression.matchAll(/(?<!(?:rate|increase)\()\b(teranode_p2p_\w+_total)\b/g))
      wrong.push(`${name} as it is`);
    return wrong;
  }

  /** Labels that a text names must be those that come out of the expression. */
  function unknownLabels(text: string, expression: string): string[] {
    const grouped = [...expression.matchAll(/\bby\s*\(([^)]*)\)/g)].map(([, list = '']) => list.split(/,\s*/));
    const names = [...expression.matchAll(/\b((?:teranode_p2p|process|nodejs)_\w+)/g)].map(([, name = '']) => name);
    const found = grouped.length > 0 ? grouped.flat() : names.flatMap((name) => metricOf(name)?.labelNames ?? []);
    const named = [...text.matchAll(/\{\{\s*(?:\$labels\.)?(\w+)\s*\}\}/g)].map(([, label = '']) => label);
    return named.filter((label) => ![...(grouped.length > 0 ? [] : ADDED), ...found].includes(label));
  }

  interface Panel {
    readonly title: string;
    readonly type: string;
    readonly targets?: readonly { readonly expr: string; readonly legendFormat: string }[];
  }

  test('the check of queries finds an unknown name, an unknown label and a counter without rate', () => {
    expect(wrongWith('sum(rate(teranode_p2p_nothing_total[5m]))')).toHaveLength(1);
    expect(wrongWith('teranode_p2p_bans{topic="x"}')).toHaveLength(1);
    expect(wrongWith('sum by (kind) (rate(teranode_p2p_dials_total[5m]))')).toHaveLength(1);
    expect(wrongWith('teranode_p2p_dials_total > 1')).toHaveLength(1);
    expect(wrongWith('rate(teranode_p2p_kafka_delivery_seconds[5m])')).toHaveLength(1);
  });

  test('the dashboard queries existing metrics and labels', () => {
    const { panels } = JSON.parse(document('grafana-dashboard.json')) as { panels: readonly Panel[] };
    const targets = panels.flatMap(({ title, targets = [] }) => targets.map((target) => ({ title, ...target })));
    expect(panels.filter(({ type }) => type === 'row').map(({ title }) => title)).toEqual(
      expect.arrayContaining(['Peers', 'Gossip', 'Bans and offences', 'Kafka', 'Delays', 'Process']),
    );
    expect(targets.length).toBeGreaterThan(40);
    for (const { title, expr, legendFormat } of targets) {
      expect(wrongWith(expr), title).toEqual([]);
      expect(unknownLabels(legendFormat, expr), title).toEqual([]);
    }
  });

  test('the alerts query existing metrics and labels', () => {
    const rules = document('alerts.yml')
      .split(/^ {6}- alert: /m)
      .slice(1);
    expect(rules.length).toBeGreaterThan(12);
    for (const rule of rules) {
      const [title = ''] = rule.split('\n');
      const expression = /^ {8}expr: (.+)$/m.exec(rule)?.[1] ?? '';
      const summary = /^ {10}summary: "(.+)"$/m.exec(rule)?.[1] ?? '';
      expect(rule, title).toMatch(/^ {10}severity: (critical|warning)$/m);
      expect(expression, title).toMatch(/teranode_p2p|process_|^up\{/);
      expect(wrongWith(expression), title).toEqual([]);
      expect(unknownLabels(summary, expression), title).toEqual([]);
    }
  });
});
