// What operators load: a real Prometheus scrapes a started server, evaluates the rules of alerts and answers what the
// dashboard asks.
import { execFileSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { temporaryFolder } from '../support/cleanup.ts';
import { GoPeer } from '../support/go-peer.ts';
import { allTopics, PSK, privateNetwork, subtreeFields, topicsOf } from '../support/network.ts';
import { Prometheus } from '../support/prometheus.ts';
import { REPO } from '../support/repo.ts';
import { ServerProcess } from '../support/server-process.ts';
import { waitFor } from '../support/wait.ts';

interface Panel {
  readonly title: string;
  readonly targets?: readonly { readonly expr: string }[];
}

const SUBTREE = topicsOf('regtest').subtree;

let server: ServerProcess;
let peer: GoPeer;
let prometheus: Prometheus;

beforeAll(async () => {
  server = await ServerProcess.start({ settings: privateNetwork('regtest') });
  prometheus = await Prometheus.start(server.ready.httpAddress);
  peer = await GoPeer.start({ psk: PSK, topics: allTopics('regtest') });
  await peer.connect(server.address);
  await waitFor(async () => (await peer.mesh()).mesh[SUBTREE]?.includes(server.peerId), { what: 'the mesh' });
  await peer.publish(SUBTREE, JSON.stringify(subtreeFields(peer.peerId)));
});

afterAll(async () => {
  await Promise.all([prometheus?.stop(), peer?.stop(), server?.stop()]);
});

test('Prometheus reads every scrape and sees the peer and the announcement', async () => {
  await waitFor(async () => (await prometheus.query('teranode_p2p_connected_peers == 1')).length === 1, {
    what: 'the peer in Prometheus',
  });
  const processed = 'teranode_p2p_gossip_messages_total{topic="subtree", reason="processed"} > 0';
  await waitFor(async () => (await prometheus.query(processed)).length === 1, { what: 'the subtree in Prometheus' });
  const read = async () => {
    expect(await prometheus.target()).toMatchObject({ health: 'up', lastError: '' });
    expect((await prometheus.query('scrape_samples_scraped'))[0]?.value[1]).not.toBe('0');
    return true;
  };
  // One that is late by a second, as on a busy machine, is followed by others.
  await waitFor(read, { what: 'a scrape that was read' });
});

test('every alert rule is evaluated, and none fires for a healthy server', async () => {
  const written = readFileSync(join(REPO, 'docs/alerts.yml'), 'utf8').match(/- alert: (\w+)/g) ?? [];
  const evaluated = async () => {
    const rules = await prometheus.rules();
    return rules.every(({ health }) => health !== 'unknown') && rules;
  };
  const rules = await waitFor(evaluated, { what: 'the evaluation of the rules' });
  expect(rules.map(({ name }) => `- alert: ${name}`).sort()).toEqual([...written].sort());
  for (const { name, health, lastError } of rules)
    expect({ name, health, lastError: lastError ?? '' }).toEqual({ name, health: 'ok', lastError: '' });
  // What stalls a whole machine for a second is no fault of the server that runs there.
  const firing = rules.filter(({ state, name }) => state === 'firing' && name !== 'TeranodeP2PEventLoopDelay');
  expect(firing.map(({ name }) => name)).toEqual([]);
});

test('every query of the dashboard has a result', async () => {
  const { panels } = JSON.parse(readFileSync(join(REPO, 'docs/grafana-dashboard.json'), 'utf8')) as {
    readonly panels: readonly Panel[];
  };
  const asked = panels.flatMap(({ title, targets = [] }) => targets.map(({ expr }) => ({ title, expr })));
  expect(asked.length).toBeGreaterThan(40);
  const refused: string[] = [];
  for (const { title, expr } of asked) {
    // What Grafana puts in: the chosen instances, and a time of several scrapes.
    const expression = expr.replaceAll('$instance', '.*').replaceAll('$__rate_interval', '15s');
    expect(expression).not.toContain('$');
    await prometheus.query(expression).catch((error: unknown) => refused.push(`${title}: ${expr}: ${error}`));
  }
  expect(refused).toEqual([]);
});

test('each topic has the time of its last message: a subtree does not hide that no block came', async () => {
  const heardAt = async (topic: string) => {
    const [sample] = await prometheus.query(`teranode_p2p_gossip_last_message_timestamp_seconds{topic="${topic}"}`);
    return Number(sample?.value[1]);
  };
  const [block, subtree] = await Promise.all([heardAt('block'), heardAt('subtree')]);
  expect(Math.abs(block - Date.now() / 1000)).toBeLessThan(600);
  const isLater = async () => {
    await peer.publish(SUBTREE, JSON.stringify(subtreeFields(peer.peerId)));
    return (await heardAt('subtree')) > subtree;
  };
  await waitFor(isLater, { what: 'a later subtree' });
  expect(await heardAt('block')).toBe(block);
});

test('the alert on blocks fires after two hours without one, while other topics go on', () => {
  const folder = temporaryFolder('promtool');
  const firing = {
    exp_labels: { severity: 'critical', instance: 'a', topic: 'block' },
    exp_annotations: {
      summary: 'a has received no block announcement for two hours, whatever else it receives',
    },
  };
  const alerts = (eval_time: string, isFiring: boolean) => ({
    eval_time,
    alertname: 'TeranodeP2PHearsNoBlocks',
    exp_alerts: isFiring ? [firing] : [],
  });
  const last = (topic: string) => `teranode_p2p_gossip_last_message_timestamp_seconds{instance="a", topic="${topic}"}`;
  const tests = {
    rule_files: [join(REPO, 'docs/alerts.yml')],
    tests: [
      {
        interval: '1m',
        // The test begins at the time 0; a status comes every minute, no block after the first.
        input_series: [
          { series: last('block'), values: '0x180' },
          { series: last('node_status'), values: '0+60x180' },
          { series: 'teranode_p2p_gossip_messages_total{instance="a", topic="node_status"}', values: '0+6x180' },
        ],
        alert_rule_test: [alerts('119m', false), alerts('121m', true)],
      },
    ],
  };
  const file = join(folder, 'tests.yml');
  // Every JSON is YAML.
  writeFileSync(file, JSON.stringify(tests));
  expect(() => execFileSync('promtool', ['test', 'rules', file], { stdio: 'pipe', timeout: 30_000 })).not.toThrow();
});

test('a stopped server fires an alert', async () => {
  await server.stop();
  await waitFor(async () => (await prometheus.target()).health === 'down', { what: 'a scrape without an answer' });
  const isNoticed = async () => {
    const down = (await prometheus.rules()).find(({ name }) => name === 'TeranodeP2PDown');
    return down !== undefined && down.state !== 'inactive';
  };
  await waitFor(isNoticed, { what: 'the alert' });
});
