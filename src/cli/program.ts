// The commands of `teranode-p2p`, with their options and help. Each command's code is loaded when it runs, so that
// asking a node does not load a whole node, and `start` does not load the gRPC client.
import { Argument, Command, CommanderError, Option } from 'commander';
import { buildVersion } from '../lib/version.ts';
import { NETWORKS } from '../wire/networks.ts';
import { type AdminCommand, BAN_COMMANDS, CHAIN_COMMANDS, PEER_COMMANDS, STATUS_COMMAND } from './admin-commands.ts';
import type { CommandIo, OutputStream } from './commands/io.ts';
import { SHELLS } from './completion/shells.ts';
import { described } from './described.ts';

/** Options of the commands that ask a running node. */
const CONNECTION_OPTIONS: readonly (readonly [flags: string, description: string])[] = [
  [
    '--address <host:port>',
    'gRPC address of the node (default: where the node of dataFolder listens, else p2p_grpc_address, else p2p_grpc_listen_address)',
  ],
  [
    '--key <key>',
    'admin key; other users of the machine can read it here, so prefer the environment variable grpc_admin_api_key (default: that setting, else the contents of <dataFolder>/admin.key)',
  ],
  ['--settings <dir>', 'folder of the settings.conf that the defaults are read from (default: the current folder)'],
  ['--json', 'print JSON, one object per line'],
];
const SETTINGS_OPTION = [
  '--settings <dir>',
  'folder of settings.conf and settings_local.conf (default: the current folder)',
] as const;
const HELP_COLUMNS = 100;
const JSON_OPTION = ['--json', 'print one JSON object'] as const;

/**
 * Resolves when the command is done. Throws CommanderError once help, version or a usage error has been printed, and
 * what the command throws.
 */
export async function runProgram(argv: readonly string[], io: CommandIo): Promise<void> {
  await createProgram(io).parseAsync([...argv], { from: 'user' });
}

/** Every command, also for the documents and the completion scripts. */
export function createProgram(io: CommandIo): Command {
  const program = new Command('teranode-p2p')
    .description('Peer-to-peer server for Teranode (Bitcoin SV)')
    .exitOverride()
    .configureHelp({ showGlobalOptions: true, minWidthToWrap: 20 })
    .configureOutput({
      writeOut: (text) => io.stdout.write(text),
      writeErr: (text) => io.stderr.write(text),
      getOutHelpWidth: () => helpWidth(io.stdout),
      getErrHelpWidth: () => helpWidth(io.stderr),
    })
    .option('-V, --version', 'print the version')
    .on('option:version', () => {
      const { version } = buildVersion();
      io.stdout.write(`${version}\n`);
      throw new CommanderError(0, 'commander.version', version);
    });
  addStart(program);
  addSettings(program, io);
  addStatus(program, io);
  addDoctor(program, io);
  addAdminCommands(program, io, {
    name: 'peers',
    alias: 'peer',
    summary: 'List, connect and disconnect the peers of a running node',
    commands: PEER_COMMANDS,
  });
  addAdminCommands(program, io, {
    name: 'bans',
    alias: 'ban',
    summary: 'List, add, lift and explain the bans of a running node',
    commands: BAN_COMMANDS,
  });
  addAdminCommands(program, io, {
    name: 'chain',
    summary: 'Show the tip and recent headers of the chain of a running node',
    commands: CHAIN_COMMANDS,
  });
  addListen(program, io);
  addDevnet(program, io);
  addKeygen(program, io);
  addReplay(program, io);
  addBackup(program, io);
  addCompletion(program, io);
  addVersion(program, io);
  return described(program, [
    'start',
    'status',
    'doctor',
    'settings',
    'bans add 203.0.113.7 --for 24h',
    'peers list --json',
  ]);
}

/** Files and pipes get lines of a width that most terminals have. */
function helpWidth({ isTTY, columns }: OutputStream): number {
  return (isTTY === true ? columns : undefined) ?? HELP_COLUMNS;
}

function addStart(program: Command): void {
  const command = program
    .command('start')
    .description(
      'Run a node until SIGTERM or SIGINT. Every setting can also be given as an environment variable of the same name.',
    )
    .option(...SETTINGS_OPTION)
    .option('--json-logs', 'log one JSON object per line (default unless standard output is a terminal)')
    .option('--pretty', 'log for people (default when standard output is a terminal)')
    .action(async (flags) => await (await import('./commands/start.ts')).startCommand(flags));
  described(command, ['start', 'start --settings /etc/teranode-p2p --json-logs', 'p2p_port=0 teranode-p2p start'], {
    0: 'stopped on request',
    1: 'failed to start, or to stop in time; standard error says why',
  });
}

function addSettings(program: Command, io: CommandIo): void {
  const command = program
    .command('settings')
    .description('Print every setting in force and where its value comes from. Secrets are masked.')
    .option(...SETTINGS_OPTION)
    .option('--context <name>', 'settings context (default: SETTINGS_CONTEXT, else dev)')
    .option('--json', 'print JSON, one object per line')
    .action(async (flags) => (await import('./commands/settings.ts')).settingsCommand(flags, io));
  described(command, ['settings', 'settings --context mainnet', 'settings --json | jq -r .key'], {
    2: 'wrong usage, or invalid settings: all problems are listed',
  });
}

function addStatus(program: Command, io: CommandIo): void {
  const status = addAdminCommand(program, io, STATUS_COMMAND);
  for (const [flags, description] of CONNECTION_OPTIONS) status.option(flags, description);
  described(status, STATUS_COMMAND.examples);
}

function addListen(program: Command, io: CommandIo): void {
  const command = program
    .command('listen')
    .description(
      'Print what the nodes of a network announce, until SIGTERM or SIGINT. Needs no running node and no settings.',
    )
    .addArgument(new Argument('[network]', 'the network').choices(Object.keys(NETWORKS)).default('mainnet'))
    .option(
      '--types <list>',
      'only these types, separated by commas, such as block,subtree; tip and reorg, which follow the chain of headers, come only when named',
    )
    .option('--author <peer ID>', 'only what this peer announces')
    .option('--client <name>', 'only of nodes with this name')
    .option('--bootstrap <multiaddr...>', 'peers to find the network through (default: its published ones)')
    .addOption(
      new Option('--wire <wire>', 'message-bus: nodes since October 2025; go-p2p: older ones')
        .choices(['message-bus', 'go-p2p'])
        .default('message-bus'),
    )
    .option(
      '--shared-key-file <file>',
      'go-p2p: file with the key of the private network (default: the environment variable p2p_shared_key)',
    )
    .option('--topic-prefix <prefix>', 'replaces the topic prefix of the network')
    .option('--allow-private-ips', 'connect to private addresses too')
    .option('--silent-after <seconds>', 'say so when no message came for so long', Number)
    .option('--json', 'print JSON, one object per line')
    .action(async (network, flags) => await (await import('./commands/listen.ts')).listenCommand(network, flags, io));
  described(
    command,
    [
      'listen mainnet',
      'listen testnet --types block,subtree',
      'listen mainnet --types tip,reorg',
      'listen mainnet --json | jq -c "select(.type == \\"block\\")"',
    ],
    { 0: 'stopped on request', 1: 'failed to join; standard error says why' },
  );
}

function addDevnet(program: Command, io: CommandIo): void {
  const command = program
    .command('devnet')
    .description(
      'Run a private network of nodes on this machine until SIGTERM or SIGINT, and show what happens in it: the first node mines, the others follow. Nothing leaves the machine. Its dashboard, a web page, cuts, slows and harms it; docs/devnet.md tells more.',
    )
    .option('--nodes <count>', 'number of nodes, 1 to 20', '5')
    .addOption(new Option('--network <network>', 'the chain').choices(['regtest']).default('regtest'))
    .option('--mine-every <seconds>', 'the first node mines a block so often; 0: only when told to', '5')
    .addOption(
      new Option('--wire <wire>', 'message-bus: nodes since October 2025; go-p2p: older ones')
        .choices(['message-bus', 'go-p2p'])
        .default('message-bus'),
    )
    .option(
      '--http-port <port>',
      'HTTP port of the dashboard of the network; the nodes get the next free ones. 0: any (default: 9906, or the next free one)',
    )
    .option('--data <folder>', 'keep the nodes in this folder (default: a temporary one, removed at the end)')
    .option('--json', 'print JSON, one object per line')
    .action(async (flags) => await (await import('./commands/devnet.ts')).devnetCommand(flags, io));
  described(
    command,
    ['devnet', 'devnet --nodes 3 --mine-every 1', 'devnet --json | jq -c "select(.event == \\"block\\")"'],
    {
      0: 'stopped on request',
      1: 'failed to start; standard error says why',
    },
  );
}

function addKeygen(program: Command, io: CommandIo): void {
  const command = program
    .command('keygen')
    .description(
      'Make a private key (Ed25519) for a node and print its peer ID, show or convert an existing key, or make a shared key.',
    )
    .option('--out <file>', 'file to create with mode 600; - is standard output (default: p2p.key for a new key)')
    .option('--force', 'replace the file if it exists')
    .addOption(
      new Option(
        '--form <form>',
        'how the key is written: hex as in p2p_private_key and p2p.key, hex96 with the public half twice, protobuf as in p2p_key.hex of Go clients',
      )
        .choices(['hex', 'hex96', 'protobuf'])
        .default('hex'),
    )
    .option('--from <file>', 'show the peer ID of the key in a file, in any of these forms; - is standard input')
    .option('--shared-key', 'make the key of a private network, 64 hex digits as in p2p_shared_key')
    .option(...JSON_OPTION)
    .action(async (flags) => (await import('./commands/keygen.ts')).keygenCommand(flags, io));
  described(command, [
    'keygen --out p2p.key',
    'keygen --from p2p.key',
    'keygen --from p2p_key.hex --form hex --out p2p.key',
    'keygen --shared-key',
  ]);
}

function addDoctor(program: Command, io: CommandIo): void {
  const command = program
    .command('doctor')
    .description(
      'Find out why a node hears nobody: settings, network, peers, messages, services, machine; for each what was found and what to do. Asks the running node of dataFolder; where none runs, listens for some seconds itself. Exit code 1 when something is not ok.',
    )
    .option('--address <host:port>', 'gRPC address of the running node (default: where the node of dataFolder listens)')
    .option(...SETTINGS_OPTION)
    .option('--context <name>', 'settings context (default: SETTINGS_CONTEXT, else dev)')
    .option('--timeout <seconds>', 'time limit of all checks together (default: 30)')
    .option('--json', 'print one JSON object: {"checks": [{"name", "ok", "found", "advice"}]}; ok null: not asked for')
    .action(async (flags) => (await import('./commands/doctor.ts')).doctorCommand(flags, io));
  described(command, ['doctor', "doctor --json | jq -r '.checks[] | select(.ok == false).advice'"], {
    0: 'every check that the settings ask for is ok',
    1: 'a check is not ok, or doctor failed',
  });
}

function addBackup(program: Command, io: CommandIo): void {
  const backup = program
    .command('backup')
    .description('Copy the data folder into a new file, also while its node runs: key, chain, bans, admin key, peers.')
    .argument('<file>', 'tar archive to create; keep it secret, it has the private key')
    .option(...SETTINGS_OPTION)
    .action(async (file, flags) => (await import('./commands/backup.ts')).backupCommand(file, flags, io));
  described(backup, ['backup /var/backups/teranode-p2p.tar']);
  const restore = program
    .command('restore')
    .description('Put the files of a backup into the data folder, while its node does not run.')
    .argument('<file>', 'archive that backup created')
    .option(...SETTINGS_OPTION)
    .option('--overwrite', 'also into a folder that has files; those of the same names are replaced')
    .action(async (file, flags) => (await import('./commands/backup.ts')).restoreCommand(file, flags, io));
  described(restore, ['restore /var/backups/teranode-p2p.tar', 'restore node.tar --settings /etc/teranode-p2p']);
}

function addReplay(program: Command, io: CommandIo): void {
  const command = program
    .command('replay')
    .description(
      'Feed a capture (p2p_capture_file) to the parts of the node that decide, without a network, and print what they decide: results of messages, scores, bans, records handed on. Needs no running node and no settings; docs/replay.md.',
    )
    .argument('<file>', 'the capture; parts before it that lie beside it (<file>.1, …) are replayed first')
    .option(
      '--with <setting=value>',
      'show what another setting would have decided on the same traffic; can be repeated',
      (text: string, before: readonly string[] = []) => [...before, text],
    )
    .option(...JSON_OPTION)
    .action(async (file, flags) => await (await import('./commands/replay.ts')).replayCommand(file, flags, io));
  described(command, ['replay capture', 'replay capture --with p2p_author_rate=50 --with p2p_author_burst=500'], {
    0: 'every decision is the same, or --with was given',
    1: 'a decision differs, or the file is unusable or altered',
  });
}

function addCompletion(program: Command, io: CommandIo): void {
  const command = program
    .command('completion')
    .description('Print a script that completes commands, options and their values in a shell.')
    .addArgument(new Argument('<shell>', 'the shell').choices(SHELLS))
    .action(async (shell) => {
      const { completionScript } = await import('./completion/script.ts');
      io.stdout.write(completionScript(shell, program));
    });
  described(command, [
    'source <(teranode-p2p completion bash)',
    'teranode-p2p completion zsh > ~/.zfunc/_teranode-p2p',
    'teranode-p2p completion fish > ~/.config/fish/completions/teranode-p2p.fish',
  ]);
}

function addVersion(program: Command, io: CommandIo): void {
  const command = program
    .command('version')
    .description('Print the version, that of Node.js, the platform, and what verifies signatures here.')
    .option(...JSON_OPTION)
    .action(async (flags) => (await import('./commands/version.ts')).versionCommand(flags, io));
  described(command, ['version', 'version --json | jq -r .version']);
}

interface AdminGroup {
  readonly name: string;
  readonly alias?: string;
  readonly summary: string;
  readonly commands: readonly AdminCommand[];
}

function addAdminCommands(program: Command, io: CommandIo, { name, alias, summary, commands }: AdminGroup): void {
  const group = program.command(name).description(summary);
  if (alias !== undefined) group.alias(alias);
  for (const [flags, description] of CONNECTION_OPTIONS) group.option(flags, description);
  for (const each of commands) described(addAdminCommand(group, io, each), each.examples);
  described(
    group,
    commands.map((each) => each.examples[0] ?? `${name} ${each.name}`),
  );
}

function addAdminCommand(parent: Command, io: CommandIo, each: AdminCommand): Command {
  const command = parent.command(each.name).description(each.summary);
  if (each.alias !== undefined) command.alias(each.alias);
  if (each.argument !== undefined) command.argument(each.argument, each.argumentHelp);
  for (const [flags, description] of each.options ?? []) command.option(flags, description);
  return command.action(async () => {
    const { administer } = await import('./commands/connection.ts');
    const action = await each.load();
    await administer((client) => action(client, command.processedArgs[0] ?? '', command.opts(), io), {
      flags: command.optsWithGlobals(),
      needsKey: each.needsKey,
      io,
    });
  });
}
