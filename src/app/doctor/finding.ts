// What doctor checks, and what it finds. The table is the order of the report; docs/doctor.md lists the same rows.

/** Name -> what is checked, for people. */
export const CHECKS = {
  settings: 'The settings load, with the files that they name.',
  node_settings: 'The running node has the settings that doctor loaded, by which it judges.',
  health: 'The checks of readiness of the running node.',
  ports: 'The ports of the settings are free, or the running node has them.',
  dns: 'Names of bootstrap and static peers resolve: addresses, and TXT records of /dnsaddr names.',
  bootstrap: 'Bootstrap and static peers answer: TCP, security and the expected peer ID.',
  shared_key: 'p2p_shared_key is that of the peers.',
  prefix_and_wire: 'Connected peers speak this wire and use this topic prefix.',
  hang_ups: 'Peers stay connected; who hangs up, and why.',
  topics: 'Connected peers subscribe to topics of this node.',
  mesh: 'Peers exchange full messages with this node (the mesh of gossipsub).',
  last_messages: 'Messages come; the last one of each topic.',
  nat: 'The advertised addresses lead back to this node.',
  datahub: 'The own DataHub answers where peers fetch from it, and its URL may be announced.',
  kafka: 'The brokers answer, with or without TLS as set, and the topics exist.',
  blockchain: 'The blockchain service answers, has the chain of the network, and its FSM has left IDLE.',
  validation_services: 'Block validation and block assembly answer.',
  clock: 'The clock of this machine agrees with those of others.',
  file_descriptors: 'The limit of open files is high enough.',
  disk: 'The file system of dataFolder has room.',
  admin_key: 'Only the owner reads the admin key file.',
} as const satisfies Record<string, string>;

export type CheckName = keyof typeof CHECKS;

export interface Finding {
  readonly name: CheckName;
  /** null: the settings do not ask for it, or it could not be found out; `found` says which. */
  readonly ok: boolean | null;
  /** What was found; one line. */
  readonly found: string;
  /** What to do; empty where nothing has to be done. */
  readonly advice: string;
}

export function fine(name: CheckName, found: string): Finding {
  return { name, ok: true, found, advice: '' };
}

export function wrong(name: CheckName, found: string, advice: string): Finding {
  return { name, ok: false, found, advice };
}

export function notAskedFor(name: CheckName, why: string): Finding {
  return { name, ok: null, found: `not asked for: ${why}`, advice: '' };
}

export function unknown(name: CheckName, why: string): Finding {
  return { name, ok: null, found: `not found out: ${why}`, advice: '' };
}
