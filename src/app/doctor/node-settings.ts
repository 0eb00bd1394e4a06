// Whether the settings that doctor loaded are those of the running node, which may have been started with other
// environment variables: the other checks judge by what doctor loaded.
import { resolve } from 'node:path';
import { readAdminKey } from '../../adapters/grpc/admin-key.ts';
import type { NodeSummary, PeerClient } from '../../client/index.ts';
import { isLoopback, parseIp } from '../../lib/ip.ts';
import { isPlaceholderKey, KEY_HEADER } from '../../settings/admin-key.ts';
import type { LoadedSettings, Settings } from '../../settings/load.ts';
import type { SettingKey } from '../../settings/schema.ts';
import { topicPrefixes } from '../../settings/topic-names.ts';
import { wireNames } from '../../settings/wire.ts';
import { type Finding, fine, notAskedFor, unknown, wrong } from './finding.ts';

/** What the checks of doctor are made from, or what decides which network the node is in. */
const JUDGED_BY: ReadonlySet<string> = new Set<SettingKey>([
  ...(['network', 'chainCfgParams_topicPrefix', 'p2p_further_topic_prefixes', 'p2p_wire', 'p2p_dht_mode'] as const),
  ...(['p2p_block_topic', 'p2p_subtree_topic', 'p2p_rejected_tx_topic', 'p2p_node_status_topic'] as const),
  ...(['p2p_handshake_topic', 'p2p_mining_on_topic', 'p2p_bestblock_topic', 'listen_mode'] as const),
  ...(['p2p_shared_key', 'p2p_dht_use_private', 'p2p_dht_public_bootstrap', 'p2p_static_peers'] as const),
  ...(['p2p_bootstrap_peers', 'p2p_bootstrap_addresses', 'p2p_bootstrap_persistent'] as const),
  ...(['p2p_listen_addresses', 'p2p_port', 'p2p_go_p2p_port', 'p2p_advertise_addresses'] as const),
  ...(['p2p_http_listen_address', 'p2p_grpc_listen_address', 'p2p_conn_high_water'] as const),
  ...(['p2p_allow_private_ips', 'p2p_allow_private_datahubs'] as const),
  ...(['asset_httpAddress', 'asset_httpPublicAddress', 'blockchain_grpcAddress'] as const),
  ...(['blockvalidation_grpcAddress', 'blockassembly_grpcAddress', 'security_level_grpc'] as const),
  ...(['kafka_blocksConfig', 'kafka_subtreesConfig', 'kafka_rejectedTxConfig'] as const),
  ...(['kafka_invalidBlocksConfig', 'kafka_invalidSubtreesConfig', 'KAFKA_ENABLE_TLS'] as const),
  ...(['KAFKA_TLS_SKIP_VERIFY', 'KAFKA_TLS_CA_FILE', 'KAFKA_TLS_CERT_FILE', 'KAFKA_TLS_KEY_FILE'] as const),
]);
/** The node was found by them, and the first may be relative to another folder. */
const NOT_COMPARED: ReadonlySet<string> = new Set<SettingKey>(['dataFolder', 'p2p_grpc_address']);
const DEADLINE_MS = 4000;
const MAX_ANSWER_BYTES = 1024 * 1024;
const MAX_NAMED = 8;
const MAX_VALUE_CHARS = 80;
const ADVICE =
  'run doctor with the environment variables, SETTINGS_CONTEXT and --settings with which the node was started; or restart the node, if it should have the settings of this command';

interface Difference {
  readonly key: string;
  readonly there: string;
  readonly here: string;
}

/** undefined: no node runs. Throws what the node's gRPC throws. */
export async function checkNodeSettings(
  loaded: LoadedSettings,
  node: PeerClient | undefined,
  cwd: string,
  signal: AbortSignal,
): Promise<Finding> {
  const name = 'node_settings';
  if (node === undefined) return notAskedFor(name, 'no node runs from this dataFolder');
  const status = await node.status(true);
  const theirs = await settingsOf(status, loaded.settings, cwd, signal);
  if (typeof theirs !== 'string') return judged(differences(loaded, theirs), theirs.size);
  const found = networkDifferences(status, loaded.settings);
  const rest = `its other settings could not be read (${theirs})`;
  if (found.length > 0) return wrong(name, `${listed(found)}; ${rest}`, ADVICE);
  return unknown(name, `wire and topic prefix of the node are those of doctor's settings; ${rest}`);
}

function judged(found: readonly Difference[], count: number): Finding {
  const name = 'node_settings';
  const grave = found.filter(({ key }) => JUDGED_BY.has(key));
  const others = found.filter(({ key }) => !JUDGED_BY.has(key)).map(({ key }) => key);
  const more = others.length === 0 ? '' : `; different, but nothing that doctor judges by: ${named(others)}`;
  if (grave.length > 0) return wrong(name, `${listed(grave)}${more}`, ADVICE);
  return fine(name, `the settings that doctor judged by are those of the node (${count} compared)${more}`);
}

function listed(found: readonly Difference[]): string {
  const text = (value: string) => value.slice(0, MAX_VALUE_CHARS) || '(unset)';
  return `the node has other settings than doctor: ${named(found.map(({ key, there, here }) => `${key} is ${text(there)} there and ${text(here)} here`))}`;
}

function named(all: readonly string[]): string {
  const more = all.length > MAX_NAMED ? ` and ${all.length - MAX_NAMED} more` : '';
  return `${all.slice(0, MAX_NAMED).join(', ')}${more}`;
}

/** Of settings that both know; secrets only by whether they are set. */
function differences({ effective }: LoadedSettings, theirs: ReadonlyMap<string, string>): Difference[] {
  return effective.flatMap(({ key, shown: here }) => {
    const there = theirs.get(key);
    return there === undefined || there === here || NOT_COMPARED.has(key) ? [] : [{ key, there, here }];
  });
}

/** What the node tells over gRPC, without a key. */
function networkDifferences({ networks }: NodeSummary, settings: Settings): Difference[] {
  const text = (rows: readonly string[]) => rows.toSorted().join(' and ');
  const there = text(networks.map(({ wire, topicPrefix }) => `${wire} ${topicPrefix}`));
  const here = text(
    wireNames(settings).flatMap((wire) => topicPrefixes(settings, wire).map((prefix) => `${wire} ${prefix}`)),
  );
  return there === here ? [] : [{ key: 'wire and topic prefix', there, here }];
}

/** `GET /api/v1/settings` of the node, or why it could not be read. */
async function settingsOf(
  { httpUrl }: NodeSummary,
  settings: Settings,
  cwd: string,
  signal: AbortSignal,
): Promise<ReadonlyMap<string, string> | string> {
  if (httpUrl === undefined) return 'it serves no HTTP';
  try {
    const url = new URL('/api/v1/settings', httpUrl);
    const until = AbortSignal.any([signal, AbortSignal.timeout(DEADLINE_MS)]);
    let answer = await fetch(url, { signal: until, redirect: 'error' });
    if (answer.status === 401 || answer.status === 403) {
      await answer.body?.cancel();
      const key = mayCarryKey(url) ? await keyOf(settings, cwd) : undefined;
      if (key === undefined) return `GET ${url} needs the admin key`;
      answer = await fetch(url, { signal: until, redirect: 'error', headers: { [KEY_HEADER]: key } });
    }
    if (answer.status !== 200) {
      await answer.body?.cancel();
      return `GET ${url}: status ${answer.status}`;
    }
    return parsed(JSON.parse(await bounded(answer)));
  } catch (error) {
    const reason = error instanceof Error && error.cause instanceof Error ? error.cause : error;
    return `GET ${httpUrl}/api/v1/settings: ${reason instanceof Error ? reason.message : 'failed'}`;
  }
}

/** In clear text only within this machine. */
function mayCarryKey({ protocol, hostname }: URL): boolean {
  return protocol === 'https:' || hostname === 'localhost' || isLoopback(parseIp(hostname.replace(/^\[(.*)\]$/, '$1')));
}

async function keyOf({ grpc_admin_api_key: set, dataFolder }: Settings, cwd: string): Promise<string | undefined> {
  return set && !isPlaceholderKey(set) ? set : await readAdminKey(resolve(cwd, dataFolder));
}

async function bounded({ body }: Response): Promise<string> {
  const chunks: Uint8Array[] = [];
  let bytes = 0;
  for await (const chunk of body ?? []) {
    bytes += chunk.byteLength;
    if (bytes > MAX_ANSWER_BYTES) throw new RangeError(`the answer is longer than ${MAX_ANSWER_BYTES} bytes`);
    chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString('utf8');
}

function parsed(answer: unknown): ReadonlyMap<string, string> {
  const { settings } = (answer ?? {}) as { readonly settings?: unknown };
  if (!Array.isArray(settings)) throw new TypeError('the answer has no settings');
  return new Map(
    settings.flatMap((each: { readonly key?: unknown; readonly value?: unknown } | null) =>
      typeof each?.key === 'string' && typeof each.value === 'string' ? [[each.key, each.value] as const] : [],
    ),
  );
}
