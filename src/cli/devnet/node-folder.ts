// The folder of a node of a development network: its key, and the settings that keep it on this machine.
import { existsSync, mkdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { generateNodeKey, readNodeKey } from '../../adapters/libp2p/key-forms.ts';
import { P2PError } from '../../lib/errors.ts';
import { OWNER_ONLY_FOLDER, writePrivateFile } from '../../lib/private-file.ts';
import type { WireName } from '../../wire/format.ts';

const KEY_FILE = 'p2p.key';

export interface NodeFolder {
  readonly path: string;
  readonly peerId: string;
}

/** Makes the folder and its key, or takes those of an earlier run. Throws PRIVATE_KEY_INVALID, and errors of the system. */
export async function openNodeFolder(root: string, number: number): Promise<NodeFolder> {
  const path = join(root, `node-${number}`);
  mkdirSync(path, { recursive: true, mode: OWNER_ONLY_FOLDER });
  const file = join(path, KEY_FILE);
  if (existsSync(file)) return { path, peerId: readNodeKey(readFileSync(file)).peerId };
  const key = await generateNodeKey();
  await writePrivateFile(file, key.text('hex'), { isDurable: false });
  return { path, peerId: key.peerId };
}

export interface NodeSettings {
  readonly number: number;
  readonly wire: WireName;
  readonly sharedKey: string;
  readonly httpPort: number;
  readonly p2pPort: number;
  /** Multiaddrs with peer IDs. */
  readonly peers: readonly string[];
}

/** Writes settings.conf. Throws INPUT_INVALID when the folder's name means something else there. */
export async function writeNodeSettings({ path }: NodeFolder, settings: NodeSettings): Promise<void> {
  if (/[\n\r#]|\$\{|^\s|\s$/.test(path))
    throw new P2PError(
      'INPUT_INVALID',
      `invalid folder ${JSON.stringify(path)} (expected a name without #, $\{ and line breaks)`,
    );
  const lines = Object.entries(settingsOf(path, settings)).map(([key, value]) => `${key} = ${value}\n`);
  await writePrivateFile(join(path, 'settings.conf'), lines.join(''), { isDurable: false });
}

function settingsOf(dataFolder: string, settings: NodeSettings): Readonly<Record<string, string | number | boolean>> {
  const { number, wire, sharedKey, httpPort, p2pPort, peers } = settings;
  return {
    network: 'regtest',
    clientName: `node-${number}`,
    dataFolder,
    p2p_private_key: readFileSync(join(dataFolder, KEY_FILE), 'utf8'),
    p2p_wire: wire,
    ...(wire === 'go-p2p' ? { p2p_dht_use_private: true, p2p_shared_key: sharedKey } : { p2p_bootstrap_peers: 'none' }),
    p2p_port: p2pPort,
    p2p_listen_addresses: '127.0.0.1',
    p2p_http_listen_address: `127.0.0.1:${httpPort}`,
    p2p_grpc_listen_address: '127.0.0.1:0',
    // Peers are reached through their relays, and by no other address.
    p2p_static_peers: peers.join(' | '),
    p2p_allow_private_ips: false,
    p2p_share_private_addresses: false,
    p2p_enable_peer_cache: false,
    p2p_allow_private_datahubs: true,
    p2p_enable_relay: false,
    p2p_enable_hole_punching: false,
    p2p_enable_autonat_v2: false,
    p2p_enable_nat_port_map: false,
    ...TOPICS,
    ...KAFKA,
    blockchain_store: 'sqlite:///blockchain',
  };
}

const TOPICS = {
  p2p_block_topic: 'block',
  p2p_subtree_topic: 'subtree',
  p2p_handshake_topic: 'handshake',
  p2p_mining_on_topic: 'miningon',
  p2p_rejected_tx_topic: 'rejected_tx',
};

const KAFKA = {
  kafka_blocksConfig: 'memory://local/blocks',
  kafka_subtreesConfig: 'memory://local/subtrees',
  kafka_rejectedTxConfig: 'memory://local/rejectedtx',
  kafka_invalidBlocksConfig: 'memory://local/invalid-blocks',
  kafka_invalidSubtreesConfig: 'memory://local/invalid-subtrees',
};
