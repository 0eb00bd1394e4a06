// What the files of deploy/ and docs/deployment.md name is there: settings, metrics, routes, ports, and times that fit to
// those of the program.
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { parse, parseAllDocuments } from 'yaml';
import { loadSettings, type Settings } from '../../src/settings/load.ts';
import { ROWS } from '../../src/settings/schema.ts';
import { REPO } from '../support/repo.ts';

const read = (name: string) => readFileSync(join(REPO, name), 'utf8');
const FILES = readdirSync(join(REPO, 'deploy'), { recursive: true, encoding: 'utf8', withFileTypes: true })
  .filter((entry) => entry.isFile())
  .map((entry) => join(entry.parentPath, entry.name).slice(REPO.length));

type Texts = Readonly<Record<string, string>>;

const image = read('deploy/Dockerfile');
const composed = parse(read('deploy/compose.yaml')).services as Record<string, { environment: Texts; ports: string[] }>;
const objects = parseAllDocuments(read('deploy/kubernetes/teranode-p2p.yaml')).map((each) => each.toJS());
const objectOf = (kind: string) => objects.find((each) => each.kind === kind);
const [container] = objectOf('StatefulSet').spec.template.spec.containers;

/** Names of settings and their other spellings. */
const SETTINGS = new Set(ROWS.flatMap(([key, { also }]) => [key, ...also]));
/** Not settings: the choice of a context, a name that settings.conf refers to, and Node's own. */
const OTHERS = ['SETTINGS_CONTEXT', 'KAFKA', 'NODE_ENV', 'NODE_OPTIONS', 'HOME'];

function imageEnvironment(): Texts {
  const [, pairs = ''] = /^ENV ((?:.*\\\n)*.*)$/m.exec(image) ?? [];
  return Object.fromEntries([...pairs.matchAll(/(\w+)=(\S+)/g)].map(([, name = '', value = '']) => [name, value]));
}

function unitEnvironment(): Texts {
  const lines = read('deploy/teranode-p2p.service').matchAll(/^Environment=(\w+)=(.*)$/gm);
  return Object.fromEntries([...lines].map(([, name = '', value = '']) => [name, value]));
}

/** As Compose does with a `.env` of these values. */
function composeEnvironment(): Texts {
  const values: Texts = { SETTINGS_CONTEXT: 'testnet', ADMIN_KEY: 'k'.repeat(64), POSTGRES_PASSWORD: 'secret' };
  const filled = (text: string) =>
    text.replaceAll(/\$\{(\w+)(?::[-?]([^}]*))?\}/g, (whole, name: string, other: string) =>
      whole.includes(':-') ? (values[name] ?? other) : (values[name] ?? ''),
    );
  const { environment = {} } = composed['teranode-p2p'] ?? {};
  return Object.fromEntries(Object.entries(environment).map(([name, text]) => [name, filled(text)]));
}

function kubernetesEnvironment(): Texts {
  const secrets = container.env.map(({ name }: { readonly name: string }) => [name, '']);
  return { ...objectOf('ConfigMap').data, ...Object.fromEntries(secrets) };
}

describe.each([
  ['deploy/Dockerfile', imageEnvironment()],
  ['deploy/compose.yaml', { ...imageEnvironment(), ...composeEnvironment() }],
  ['deploy/kubernetes/teranode-p2p.yaml', { ...imageEnvironment(), ...kubernetesEnvironment() }],
  ['deploy/teranode-p2p.service', unitEnvironment()],
])('the environment of %s', (_file, env) => {
  test('has only names that mean something', () => {
    expect(Object.keys(env).length).toBeGreaterThan(1);
    expect(Object.keys(env).filter((name) => !SETTINGS.has(name) && !OTHERS.includes(name))).toEqual([]);
  });

  test('is accepted with the shipped settings', () => {
    expect(() => loadSettings({ folder: REPO, env: { SETTINGS_CONTEXT: 'testnet', ...env } })).not.toThrow();
  });
});

test.each([
  ['Compose', composeEnvironment()],
  ['Kubernetes', kubernetesEnvironment()],
])('with the environment of %s all topics are at its Kafka broker', (_file, env) => {
  const { settings } = loadSettings({ folder: REPO, env });
  const topics = Object.entries(settings as Settings).filter(([key]) => /^kafka_\w+Config$/.test(key));
  expect(topics.map(([, url]) => new URL(JSON.stringify(url).match(/\w+:\/\/[^"]+/)?.[0] ?? '').host)).toEqual(
    Array(5).fill('kafka:9092'),
  );
});

test.each([...FILES, 'docs/deployment.md'])('%s names no setting or metric that does not exist', (name) => {
  const text = read(name);
  const settings = text.match(/\b(p2p|grpc|asset|kafka|blockchain|blockvalidation|health_check|server)_\w+/g) ?? [];
  // nginx has directives of this form, and .proto files a package.
  const own = settings.filter(
    (each) => !/^(p2p_api|grpc_(pass|set_header|(connect|read)_timeout)|server_name)$/.test(each),
  );
  expect(own.filter((each) => !SETTINGS.has(each))).toEqual([]);
  const metrics = text.match(/\bteranode_p2p_\w+/g) ?? [];
  const known = read('docs/metrics.md');
  expect(metrics.filter((each) => !known.includes(`\`${each}\``))).toEqual([]);
});

test('every path that a deployment file requests is a route of the server', () => {
  const { startupProbe, livenessProbe, readinessProbe } = container;
  const probes = [startupProbe, livenessProbe, readinessProbe].map(({ httpGet }) => httpGet.path);
  expect(probes).toEqual(['/health/live', '/health/live', '/health/ready']);
  const [, check = ''] = /9908(\/[\w/]+)/.exec(image) ?? [];
  const [metrics] = parse(read('deploy/prometheus/prometheus.yml')).scrape_configs;
  const locations = [...read('deploy/nginx.conf').matchAll(/location = (\S+)/g)].map(([, path]) => path);
  expect(locations).toHaveLength(3);
  const sources = readdirSync(join(REPO, 'src/adapters/http'), { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith('.ts'))
    .map((name) => read(join('src/adapters/http', name)))
    .join('\n');
  const asked = [...probes, check, metrics.metrics_path, ...locations];
  expect(asked.filter((path) => !sources.includes(`'${path}'`))).toEqual([]);
});

test('every gRPC service of ours that nginx passes on is in a .proto file, and none is forgotten', () => {
  const [, names = ''] = /location ~ \^\/\((.*)\)\/ \{/.exec(read('deploy/nginx.conf')) ?? [];
  const passed = names
    .replaceAll('\\.', '.')
    .split('|')
    .filter((name) => !name.startsWith('grpc.'));
  const served = ['p2p_api.proto', 'teranode_p2p.proto'].map((name) => {
    const text = read(join('proto', name));
    return `${/^package (\w+);/m.exec(text)?.[1]}.${/^service (\w+)/m.exec(text)?.[1]}`;
  });
  expect(passed).toEqual(served);
});

test('ports are those of settings.conf everywhere', () => {
  const { settings } = loadSettings({ folder: REPO, env: { SETTINGS_CONTEXT: 'testnet', p2p_wire: 'message-bus' } });
  const portOf = (address: string) => Number(address.split(':').at(-1));
  const [p2p, http, grpc] = [
    settings.p2p_port,
    portOf(settings.p2p_http_listen_address),
    portOf(settings.p2p_grpc_listen_address),
  ];
  expect(image).toContain(`\nEXPOSE ${p2p} ${http} ${grpc}\n`);
  expect(composed['teranode-p2p']?.ports).toEqual([
    `${p2p}:${p2p}`,
    `127.0.0.1:${http}:${http}`,
    `127.0.0.1:${grpc}:${grpc}`,
  ]);
  const named = { p2p, http, grpc };
  expect(Object.fromEntries(container.ports.map((port: NamedPort) => [port.name, port.containerPort]))).toEqual(named);
  for (const { kind, spec } of objects) {
    if (kind !== 'Service') continue;
    for (const { port, targetPort } of spec.ports as ServicePort[]) expect(named).toMatchObject({ [targetPort]: port });
  }
  expect(read('deploy/nginx.conf').match(/server 127\.0\.0\.1:\d+/g)).toEqual([
    `server 127.0.0.1:${http}`,
    `server 127.0.0.1:${grpc}`,
  ]);
  expect(read('deploy/prometheus/prometheus.yml')).toContain(`"teranode-p2p:${http}"`);
  expect(image).toContain(`http://${imageEnvironment().health_check_httpListenAddress}/`);
});

interface NamedPort {
  readonly name: string;
  readonly containerPort: number;
}

interface ServicePort {
  readonly port: number;
  readonly targetPort: string;
}

test('labels and names of the Kubernetes objects fit together', () => {
  const { metadata, spec } = objectOf('StatefulSet');
  const label = metadata.labels;
  expect(spec.template.metadata.labels).toEqual(label);
  expect(spec.selector.matchLabels).toEqual(label);
  expect(objectOf('NetworkPolicy').spec.podSelector.matchLabels).toEqual(label);
  const services = objects.filter(({ kind }) => kind === 'Service');
  for (const service of services) expect(service.spec.selector).toEqual(label);
  expect(services.map((service) => service.metadata.name)).toContain(spec.serviceName);
  const volumes = [...spec.template.spec.volumes.map(nameOf), ...spec.volumeClaimTemplates.map(metadataName)];
  expect(container.volumeMounts.map(nameOf).sort()).toEqual(volumes.sort());
  expect(container.envFrom[0].configMapRef.name).toBe(objectOf('ConfigMap').metadata.name);
});

const nameOf = ({ name }: { readonly name: string }) => name;
const metadataName = ({ metadata }: { readonly metadata: { readonly name: string } }) => metadata.name;

test('every supervisor waits longer for the stop than the program takes at most', () => {
  const start = read('src/cli/commands/start.ts');
  const ms = (name: string) => Number(new RegExp(`const ${name} = (\\d+);`).exec(start)?.[1]);
  const longestS = (ms('STOP_DEADLINE_MS') + ms('EXIT_DEADLINE_MS')) / 1000;
  expect(longestS).toBe(8.5);
  const seconds = (text: string, form: RegExp) => Number(form.exec(text)?.[1]);
  const compose = read('deploy/compose.yaml');
  expect(seconds(compose, /teranode-p2p:\n[\s\S]*?stop_grace_period: (\d+)s/)).toBeGreaterThan(longestS + 5);
  expect(seconds(read('deploy/teranode-p2p.service'), /^TimeoutStopSec=(\d+)s$/m)).toBeGreaterThan(longestS + 5);
  expect(objectOf('StatefulSet').spec.template.spec.terminationGracePeriodSeconds).toBeGreaterThan(longestS + 5);
});

test('compose.env.example has every variable of compose.yaml', () => {
  const used = new Set([...read('deploy/compose.yaml').matchAll(/\$\{(\w+)/g)].map(([, name]) => name));
  const listed = [...read('deploy/compose.env.example').matchAll(/^(\w+)=/gm)].map(([, name]) => name);
  expect(listed.sort()).toEqual([...used].sort());
});

test('every file that docs/deployment.md speaks of is there', () => {
  const named = read('docs/deployment.md').match(/\bdeploy\/[\w./-]*\w/g) ?? [];
  expect(named.length).toBeGreaterThan(FILES.length - 1);
  expect(named.filter((name) => name !== 'deploy/.env' && !existsSync(join(REPO, name)))).toEqual([]);
});
