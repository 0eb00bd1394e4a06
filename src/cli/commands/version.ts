// `teranode-p2p version`: what a report of a fault needs to say about the program and the machine.
import { arch, platform, release } from 'node:os';
import { fastestVerifier } from '../../adapters/libp2p/patches/ed25519.ts';
import { buildVersion } from '../../lib/version.ts';
import { terminalOf } from '../terminal.ts';
import type { CommandIo } from './io.ts';
import { rows } from './table.ts';

interface VersionFlags {
  readonly json?: boolean | undefined;
}

export function versionCommand({ json }: VersionFlags, io: CommandIo): void {
  const { version, commit } = buildVersion();
  // As with `p2p_verifier = auto`.
  const { name: verifier, addonFault } = fastestVerifier();
  const node = process.version;
  const machine = { platform: platform(), arch: arch(), release: release() };
  if (json === true) {
    io.stdout.write(`${JSON.stringify({ version, commit, node, ...machine, verifier, addonFault })}\n`);
    return;
  }
  const why = addonFault === undefined ? '' : ` (no native addon: ${addonFault})`;
  io.stdout.write(
    rows(
      [
        ['teranode-p2p', version],
        ['commit', commit],
        ['Node.js', node],
        ['platform', `${machine.platform} ${machine.arch} ${machine.release}`],
        ['verifier', verifier + why],
      ],
      terminalOf(io),
    ),
  );
}
