// Writes docs/scoring.md from the table of offences.
import { writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { REASON_POINTS } from '../src/bans/scores/reasons.ts';
import { ACCIDENT_SHARE, GOSSIP_RULES, type OffenceRow, OTHER_RULES } from '../src/domain/offences.ts';
import { ruleOfFault } from '../src/gossip/pipeline.ts';
import { FAULT_CODES } from '../src/wire/fault.ts';

const HEADING = `# Scoring

What every fault costs, and whom. Made by \`npm run docs:scoring\` from the table that the server itself uses;
\`teranode-p2p bans explain <peer>\` cites its rows.

- A peer is banned for \`p2p_ban_duration\` when its score as author, or as neighbour, reaches \`p2p_ban_threshold\`.
  One point decays with each whole minute, whatever it was for; the column *gone* is the time until all of them are.
- A rule that a sloppy but honest implementation may break costs little, and all such rules together raise a score to
  ${ACCIDENT_SHARE * 100} % of the threshold at most. What they would add beyond that is only counted
  (\`teranode_p2p_offences_total\`). So only the rows without *may be an accident* lead to a ban.
- The author of a message is proven by its signature. The neighbour that brought it never gets points for its content.
  It pays with tokens: a neighbour that brings more than 100 messages that cost their authors points, and more than one
  per second after that, is heard only with its own messages and those of known authors below half of the threshold,
  until it has tokens again (\`relay_rate\`).
- In shadow mode (\`p2p_policy_mode\`, \`p2p_policy_shadow_rules\`) points are recorded and do not count.
- Reports of catch-ups over gRPC (\`RecordCatchup…\`, \`ReportValid…\`) change a peer's reputation, never its score.
- Where the blockchain service keeps scores, it gets the points below. It has points of its own for the reasons that it
  knows, so an offence that costs others is sent under the name of its rule.
`;

const PAYERS = { author: 'author', neighbour: 'neighbour', host: 'DataHub host', nobody: 'nobody' } as const;

function table(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const line = (cells: readonly string[]) => `| ${cells.join(' | ')} |\n`;
  return `${line(head)}|${'---|'.repeat(head.length)}\n${rows.map(line).join('')}`;
}

function ruleRow([rule, row]: [string, OffenceRow]): readonly string[] {
  const { payer, points, reason, when, why } = row;
  const payerText = row.isFreeOnBus ? 'author; on message-bus nobody' : PAYERS[payer];
  const cost = points === undefined ? 'of the reason' : String(points);
  const gone = points === undefined || points === 0 ? '' : `${points} min`;
  const accident = row.canBeAccident ? 'may be an accident' : '';
  return [`\`${rule}\``, when, payerText, cost, gone, reason === undefined ? '' : `\`${reason}\``, accident, why];
}

const HEAD = ['rule', 'when', 'who pays', 'points', 'gone', 'reason', '', 'why'];

export function scoringDocument(): string {
  const faults = FAULT_CODES.map((code) => [`\`${code}\``, `\`${ruleOfFault(code)}\``]);
  const reasons = Object.entries(REASON_POINTS).map(([reason, points]) => [`\`${reason}\``, String(points)]);
  return [
    HEADING,
    `## Gossip messages\n\n${table(HEAD, Object.entries(GOSSIP_RULES).map(ruleRow))}`,
    '`author_mismatch`, `peer_id_form` and `hash_form` hold for handshakes on direct streams too.\n',
    `## Faults of the decoder\n\n${table(['fault', 'rule'], faults)}`,
    `## Everything else\n\n${table(HEAD, Object.entries(OTHER_RULES).map(ruleRow))}`,
    `## Reasons\n\nPoints of \`AddBanScore\`, which names a reason and no rule.\n\n${table(['reason', 'points'], reasons)}`,
  ].join('\n');
}

if (import.meta.main) writeFileSync(fileURLToPath(new URL('../docs/scoring.md', import.meta.url)), scoringDocument());
