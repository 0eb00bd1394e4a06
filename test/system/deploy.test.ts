// The files of deploy/ in the programs and libraries that load them: BuildKit, Compose, the types of Kubernetes,
// Grafana's types, systemd, Prometheus. deploy-image.test.ts and deploy-nginx.test.ts run what they describe.
import { execFileSync } from 'node:child_process';
import { copyFileSync, existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { temporaryFolder } from '../support/cleanup.ts';
import { type ImageFile, parsedBy } from '../support/go-deploy.ts';
import { REPO } from '../support/repo.ts';
import { requireTool } from '../support/tools.ts';

const file = (name: string) => join(REPO, 'deploy', name);
const DEADLINE_MS = 60_000;

test('BuildKit reads the Dockerfile, and its linter has no complaint', () => {
  const { stages, warnings } = parsedBy<ImageFile>('dockerfile', file('Dockerfile'));
  expect(warnings).toEqual([]);
  const { steps = [] } = stages.at(-1) ?? {};
  const argsOf = (name: string) => steps.filter((step) => step.name === name).map(({ args }) => args);
  expect(argsOf('USER')).toEqual([['10001:10001']]);
  expect(argsOf('STOPSIGNAL')).toEqual([['SIGTERM']]);
  expect(argsOf('VOLUME')).toEqual([['/data']]);
  expect(argsOf('HEALTHCHECK')).toHaveLength(1);
});

test('the build context has sources, and no settings, keys, data, tests or history', () => {
  const folder = temporaryFolder('context');
  const secrets = [
    'data/p2p.key',
    'data2/admin.key',
    'p2p.key',
    'settings_local.conf',
    '.env',
    'deploy/.env',
    '.git/HEAD',
  ];
  const others = ['node_modules/a/index.js', 'dist/index.js', 'test/a.test.ts', 'native/target/release/a.so'];
  const sources = ['src/index.ts', 'scripts/build.ts', 'package.json', 'native/src/lib.rs', 'dashboard/main.tsx'];
  for (const name of [...secrets, ...others, ...sources]) {
    mkdirSync(join(folder, name, '..'), { recursive: true });
    writeFileSync(join(folder, name), '');
  }
  copyFileSync(join(REPO, '.dockerignore'), join(folder, '.dockerignore'));
  expect(parsedBy<string[]>('context', folder).sort()).toEqual(sources.sort());
});

interface Service {
  readonly image: string;
  readonly healthcheck?: object;
  readonly volumes?: readonly { readonly type: string; readonly source: string }[];
  readonly depends_on?: Readonly<Record<string, { readonly condition: string }>>;
}

/** What compose.env.example leaves to the operator. */
const SECRETS = { SETTINGS_CONTEXT: 'testnet', ADMIN_KEY: 'a', POSTGRES_PASSWORD: 'b', GRAFANA_PASSWORD: 'c' };

test('Compose reads compose.yaml, waits for Kafka and PostgreSQL, and mounts files that exist', () => {
  const { services } = parsedBy<{ services: Record<string, Service> }>('compose', file('compose.yaml'), SECRETS);
  expect(Object.keys(services).sort()).toEqual(['grafana', 'kafka', 'postgres', 'prometheus', 'teranode-p2p']);
  const { kafka, postgres } = services['teranode-p2p']?.depends_on ?? {};
  expect([kafka?.condition, postgres?.condition]).toEqual(['service_healthy', 'service_healthy']);
  for (const [name, service] of Object.entries(services)) {
    // That of the server is in its image.
    expect({ name, hasCheck: service.healthcheck !== undefined || name === 'teranode-p2p' }).toMatchObject({
      hasCheck: true,
    });
    for (const { type, source } of service.volumes ?? [])
      if (type === 'bind') expect({ source, exists: existsSync(source) }).toEqual({ source, exists: true });
  }
});

test.each(Object.keys(SECRETS))('Compose refuses to start without %s', (name) => {
  const { [name as keyof typeof SECRETS]: _left, ...others } = SECRETS;
  expect(() => parsedBy('compose', file('compose.yaml'), others)).toThrow(`required variable ${name} is missing`);
});

test('the objects for Kubernetes have no field that its types lack, and a wrong field is noticed', () => {
  const path = file('kubernetes/teranode-p2p.yaml');
  const kinds = parsedBy<{ kind: string }[]>('kubernetes', path).map(({ kind }) => kind);
  expect(kinds).toEqual(['ConfigMap', 'Service', 'Service', 'StatefulSet', 'NetworkPolicy']);
  const wrong = join(temporaryFolder('kubernetes'), 'wrong.yaml');
  writeFileSync(wrong, readFileSync(path, 'utf8').replace('runAsNonRoot', 'runAsNoRoot'));
  expect(() => parsedBy('kubernetes', wrong)).toThrow('unknown field "runAsNoRoot"');
});

test('the dashboard has no field that the types of Grafana lack', () => {
  const { panels, faults } = parsedBy<{ panels: number; faults: string[] }>(
    'grafana',
    join(REPO, 'docs/grafana-dashboard.json'),
  );
  expect(faults).toEqual([]);
  expect(panels).toBeGreaterThan(10);
});

test('Prometheus accepts its configuration with the alert rules that Compose mounts beside it', () => {
  requireTool('promtool', ['--version'], 'Debian package prometheus');
  const folder = temporaryFolder('prometheus');
  copyFileSync(file('prometheus/prometheus.yml'), join(folder, 'prometheus.yml'));
  copyFileSync(join(REPO, 'docs/alerts.yml'), join(folder, 'alerts.yml'));
  const said = execFileSync('promtool', ['check', 'config', join(folder, 'prometheus.yml')], {
    encoding: 'utf8',
    timeout: DEADLINE_MS,
  });
  expect(said).toMatch(/SUCCESS: \d+ rules found/);
});

/** systemd-analyze wants the program of ExecStart to be there. */
function unitHere(): string {
  const unit = readFileSync(file('teranode-p2p.service'), 'utf8');
  expect(unit.match(/\/usr\/bin\/node /g)).toHaveLength(1);
  const path = join(temporaryFolder('systemd'), 'teranode-p2p.service');
  writeFileSync(path, unit.replace('/usr/bin/node', process.execPath));
  return path;
}

test('systemd accepts the unit and rates its exposure as low', () => {
  requireTool('systemd-analyze', ['--version'], 'Debian package systemd');
  const path = unitHere();
  const options = { encoding: 'utf8', timeout: DEADLINE_MS } as const;
  // What it does not know it names, and goes on.
  expect(execFileSync('sh', ['-c', 'systemd-analyze verify --man=no "$0" 2>&1', path], options)).toBe('');
  const rated = execFileSync('systemd-analyze', ['security', '--offline=yes', '--threshold=20', path], options);
  expect(rated).toMatch(/Overall exposure level for teranode-p2p\.service: 1\.\d OK/);
});
