// Run within network and mount namespaces of its own, with a name server of its own: what doctor says of names. Prints
// the checks of each case as JSON lines.
import { runCli } from './cli.ts';
import { NameServer } from './name-server.ts';

const ID = '12D3KooWBCKN3eYmMbJKvnkTuwxh9mWfQvcwpq8py2jk9MsFjT1a';
const server = new NameServer(
  { 'node.example.com': ['127.0.0.1'], 'plain.example.com': ['127.0.0.1'], '_dnsaddr.empty.example.com': [] },
  { '_dnsaddr.good.example.com': [`dnsaddr=/ip4/127.0.0.1/tcp/1/p2p/${ID}`] },
);
await server.start(53);

const CASES = {
  unknown: `/dns4/nowhere.example.com/tcp/9905/p2p/${ID}`,
  known: `/dns4/node.example.com/tcp/1/p2p/${ID}`,
  withoutTxt: '/dnsaddr/plain.example.com',
  emptyTxt: '/dnsaddr/empty.example.com',
  good: '/dnsaddr/good.example.com',
};

for (const [name, peer] of Object.entries(CASES)) {
  const { stdout } = await runCli(['doctor', '--json'], {
    ...{ network: 'regtest', p2p_wire: 'message-bus', p2p_bootstrap_peers: peer },
    listen_mode: 'listen_only',
  });
  process.stdout.write(`${JSON.stringify({ name, ...JSON.parse(stdout) })}\n`);
}
server.stop();
