// The ban system from the settings: its store, its limits, and the peers that are exempt.
import { existsSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { SqliteBanStore } from '../adapters/sql/sqlite-ban-store.ts';
import { BanService, type BanServiceDependencies, type BanServiceOptions, type EnforcedNode } from '../bans/service.ts';
import type { Recorder } from '../capture/recorder.ts';
import type { InputValue } from '../capture/tap.ts';
import { TappedBans } from '../capture/tapped-bans.ts';
import { tappedNode } from '../capture/tapped-parts.ts';
import { offenceRow } from '../domain/offences.ts';
import type { BanStore } from '../ports/ban-store.ts';
import type { Logger } from '../ports/log.ts';
import type { Settings } from '../settings/load.ts';
import { bootstrapPeers } from '../settings/wire.ts';

const BANS_FILE = 'bans.db';

export interface BansDependencies extends Omit<BanServiceDependencies, 'store'> {
  readonly dataFolder: string;
  /** Where bans end connections. */
  readonly nodes: EnforcedNode;
  /** While the node captures. */
  readonly recorder?: Recorder | undefined;
}

export async function createBans(settings: Settings, deps: BansDependencies): Promise<BanService> {
  const { dataFolder, nodes, recorder, ...rest } = deps;
  const withStore = { ...rest, store: await banStore(settings, dataFolder, deps.log) };
  if (recorder === undefined) {
    const bans = new BanService(withStore, banOptions(settings));
    bans.attach(nodes);
    return bans;
  }
  const onStarted = async (values: readonly InputValue[]) => {
    await recorder.states('stored', values);
    recorder.state('begun', {});
  };
  const bans = new TappedBans({ ...withStore, tap: recorder, onStarted }, banOptions(settings));
  bans.attach(tappedNode(recorder, nodes));
  return bans;
}

export function banOptions(settings: Settings): BanServiceOptions {
  return {
    defaultDurationMs: settings.p2p_ban_default_duration,
    maxEntries: settings.p2p_ban_max_entries,
    threshold: settings.p2p_ban_threshold,
    durationMs: settings.p2p_ban_duration,
    isWhitelisted: whitelist(settings),
    isShadow: shadowRules(settings),
  };
}

/** Where bans are stored: the URL of PostgreSQL, or a file of SQLite. */
export type BanDatabase = { readonly postgresUrl: string } | { readonly sqlitePath: string };

/** `p2p_ban_store`, else `blockchain_store` when that is PostgreSQL, else SQLite at `p2p_ban_persist_path`. */
export function banDatabase(settings: Settings, dataFolder: string): BanDatabase {
  const isShared = /^postgres(ql)?:/.test(settings.blockchain_store);
  const url = settings.p2p_ban_store ?? (isShared ? settings.blockchain_store : undefined);
  if (url !== undefined && /^postgres(ql)?:/.test(url)) return { postgresUrl: url };
  if (url?.startsWith('sqlitememory:')) return { sqlitePath: ':memory:' };
  return { sqlitePath: sqliteFile(url, dataFolder) ?? persistPath(settings, dataFolder) };
}

async function banStore(settings: Settings, dataFolder: string, log: Logger): Promise<BanStore> {
  const database = banDatabase(settings, dataFolder);
  if ('postgresUrl' in database) {
    // Its client is loaded by those who use it.
    const { PostgresBanStore } = await import('../adapters/sql/postgres-ban-store.ts');
    return new PostgresBanStore({ log }, { url: database.postgresUrl });
  }
  const { sqlitePath: path } = database;
  if (path === ':memory:') return new SqliteBanStore({ log }, { path });
  // A Go deployment keeps its bans in the blockchain's store; the embedded chain's file has no such table.
  const legacyPath = sqliteFile(settings.blockchain_store, dataFolder);
  const isOther = legacyPath !== undefined && legacyPath !== path;
  return new SqliteBanStore({ log }, { path, ...(isOther ? { legacyPath } : {}) });
}

function sqliteFile(url: string | undefined, dataFolder: string): string | undefined {
  if (!url?.startsWith('sqlite:///')) return undefined;
  return join(dataFolder, `${url.slice('sqlite:///'.length).replaceAll('..', '_')}.db`);
}

/** `p2p_ban_persist_path`: a file, or the folder for one. */
function persistPath(settings: Settings, dataFolder: string): string {
  const path = settings.p2p_ban_persist_path;
  if (!path) return join(dataFolder, BANS_FILE);
  const isFolder = path.endsWith('/') || (existsSync(path) && statSync(path).isDirectory());
  return isFolder ? join(path, BANS_FILE) : path;
}

/** True for rules in shadow mode, whose hits are recorded without effect. */
export function shadowRules(settings: Settings): (rule: string) => boolean {
  if (settings.p2p_policy_mode === 'shadow') return (rule) => rule !== 'operator';
  const rules = new Set<string>(settings.p2p_policy_shadow_rules);
  return (rule) => rules.has(offenceRow(rule)?.shadowedAs ?? rule);
}

/** `p2p_ban_whitelist`: peer ids, and the words `static` and `bootstrap` for the peers of those lists. */
export function whitelist(settings: Settings): (peerId: string) => boolean {
  const named = settings.p2p_ban_whitelist;
  const listed = [
    ...(named.includes('static') ? settings.p2p_static_peers : []),
    ...(named.includes('bootstrap') ? [...settings.p2p_bootstrap_addresses, ...bootstrapPeers(settings)] : []),
  ].map((address) => address.slice(address.lastIndexOf('/') + 1));
  const all = new Set([...named, ...listed]);
  return (peerId) => all.has(peerId);
}
