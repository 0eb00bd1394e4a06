// The program `teranode-p2p`: picks the command, turns its outcome into an exit code. 0 stopped on request, 2 settings refused, 1 the rest.

// Before all else, and with as little beside it as can be: signals count from here on.
import './stop-signals.ts';
import { P2PError } from '../lib/errors.ts';
import { buildVersion } from '../lib/version.ts';

const USAGE = `teranode-p2p: peer-to-peer server for Teranode (Bitcoin SV)

  teranode-p2p start [--settings DIR] [--json-logs | --pretty]
      Runs a node. DIR holds settings.conf and settings_local.conf (default: the current folder).
      Any setting can be given as an environment variable of its own name.

  teranode-p2p settings [--settings DIR] [--context NAME] [--json]
      Prints each effective setting with its origin; secrets are masked.

  teranode-p2p bans list
  teranode-p2p bans add <ip | cidr | peer id> [--for 24h | --until 2026-01-01T00:00:00Z]
  teranode-p2p bans remove <ip | cidr | peer id>
  teranode-p2p bans clear
  teranode-p2p bans explain <peer id | ip | DataHub host>
  teranode-p2p peers list
  teranode-p2p peers connect <multiaddr>
  teranode-p2p peers disconnect <peer id>
      Ask a running node, through its gRPC. Each takes
      --address host:port   default: p2p_grpc_address, else p2p_grpc_listen_address
      --key KEY             default: grpc_admin_api_key, else the text of <dataFolder>/admin.key
      --settings DIR        where those settings are read, and those of TLS
      --json                one JSON object a line

  teranode-p2p --version | --help
`;

async function run(argv: readonly string[]): Promise<number> {
  const [command, ...rest] = argv;
  const io = { stdout: process.stdout, env: process.env, cwd: process.cwd() };
  // Loaded when needed: a command that asks a node does not wait for all that makes one.
  switch (command) {
    case 'start':
      return await (await import('./commands/start.ts')).startCommand(rest);
    case 'settings':
      return (await import('./commands/settings.ts')).settingsCommand(rest, io);
    case 'bans':
      return await (await import('./commands/bans.ts')).bansCommand(rest, io);
    case 'peers':
      return await (await import('./commands/peers.ts')).peersCommand(rest, io);
    case '--version':
      process.stdout.write(`${buildVersion().version}\n`);
      return 0;
    case '--help':
    case 'help':
      process.stdout.write(USAGE);
      return 0;
    default:
      process.stderr.write(USAGE);
      return 1;
  }
}

/** parseArgs throws TypeErrors with codes of its own for a wrong command line. */
function isUsageError(error: unknown): error is Error {
  return error instanceof TypeError && 'code' in error && String(error.code).startsWith('ERR_PARSE_ARGS');
}

async function told(error: unknown): Promise<string> {
  const { serializeError } = await import('../adapters/logging/logger.ts');
  if (isUsageError(error)) return `${error.message}\n${USAGE}`;
  if (!(error instanceof P2PError)) return `${JSON.stringify(serializeError(error))}\n`;
  const isWhole = error.cause === undefined || error.code === 'RPC_FAILED';
  const cause = isWhole ? '' : `  because of ${JSON.stringify(serializeError(error.cause, 1))}\n`;
  return `${error.code}: ${error.message}\n${cause}`;
}

try {
  process.exitCode = await run(process.argv.slice(2));
} catch (error) {
  process.stderr.write(await told(error));
  process.exitCode = error instanceof P2PError && error.code === 'SETTINGS_INVALID' ? 2 : 1;
}
