// A real Prometheus for tests: a free port on loopback, a temporary folder, one job that scrapes each second, the
// project's rules of alerts.
import { type ChildProcess, spawn } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { endWithTests, temporaryFolder } from './cleanup.ts';
import { freePort } from './kafka-broker.ts';
import { REPO } from './repo.ts';
import { requireTool } from './tools.ts';
import { waitFor } from './wait.ts';

const INSTALL = 'Debian package prometheus';

export interface ScrapeTarget {
  readonly health: 'up' | 'down' | 'unknown';
  readonly lastError: string;
}

export interface AlertRule {
  readonly name: string;
  readonly health: 'ok' | 'err' | 'unknown';
  readonly lastError?: string;
  readonly state: 'inactive' | 'pending' | 'firing';
}

export interface Sample {
  readonly metric: Readonly<Record<string, string>>;
  readonly value: readonly [atS: number, value: string];
}

export class Prometheus {
  private readonly url: string;
  private readonly child: ChildProcess;

  private constructor(url: string, child: ChildProcess) {
    this.url = url;
    this.child = child;
  }

  /** Scrapes `/metrics` of an address as the job `teranode-p2p`. */
  static async start(httpAddress: string): Promise<Prometheus> {
    requireTool('prometheus', ['--version'], INSTALL);
    const folder = temporaryFolder('prometheus');
    const config = {
      global: { scrape_interval: '1s', scrape_timeout: '1s', evaluation_interval: '1s' },
      rule_files: [join(REPO, 'docs/alerts.yml')],
      scrape_configs: [{ job_name: 'teranode-p2p', static_configs: [{ targets: [httpAddress] }] }],
    };
    // Every JSON is YAML.
    writeFileSync(join(folder, 'prometheus.yml'), JSON.stringify(config));
    const listen = `127.0.0.1:${await freePort()}`;
    const child = spawn(
      'prometheus',
      [
        `--config.file=${join(folder, 'prometheus.yml')}`,
        `--storage.tsdb.path=${join(folder, 'data')}`,
        `--web.listen-address=${listen}`,
      ],
      { cwd: folder, stdio: 'ignore' },
    );
    endWithTests(child);
    const prometheus = new Prometheus(`http://${listen}`, child);
    await waitFor(async () => (await fetch(`${prometheus.url}/-/ready`)).ok, { what: 'Prometheus' });
    return prometheus;
  }

  async target(): Promise<ScrapeTarget> {
    const { activeTargets } = await this.ask<{ readonly activeTargets: readonly ScrapeTarget[] }>('targets');
    const [target] = activeTargets;
    if (target === undefined) throw new Error('Prometheus has no target');
    return target;
  }

  async rules(): Promise<readonly AlertRule[]> {
    const { groups } = await this.ask<{ readonly groups: readonly { readonly rules: readonly AlertRule[] }[] }>(
      'rules',
    );
    return groups.flatMap(({ rules }) => rules);
  }

  /** Throws with what Prometheus says of an expression that it cannot evaluate. */
  async query(expression: string): Promise<readonly Sample[]> {
    const { result } = await this.ask<{ readonly result: readonly Sample[] }>('query', { query: expression });
    return result;
  }

  async stop(): Promise<void> {
    if (this.child.exitCode !== null) return;
    const exited = new Promise((resolve) => this.child.once('exit', resolve));
    this.child.kill('SIGTERM');
    await exited;
  }

  private async ask<T>(path: string, parameters: Record<string, string> = {}): Promise<T> {
    const answer = await fetch(`${this.url}/api/v1/${path}?${new URLSearchParams(parameters)}`);
    const body = (await answer.json()) as { readonly status: string; readonly error?: string; readonly data: T };
    if (body.status !== 'success') throw new Error(body.error);
    return body.data;
  }
}
