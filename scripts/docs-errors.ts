// Writes docs/errors.md from the table of codes.
import { writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { ERROR_CODES } from '../src/lib/errors.ts';

const HEADING = `# Errors

Every error that this program throws has one of these codes. The last two columns show the answer to a request that
fails with the error: HTTP status and \`code\` of the JSON body, and gRPC status. An \`INTERNAL\` answer does not carry the
text of the error, which is in the server's log. Made by \`npm run docs:errors\`.

`;
/** The answer to a request that fails through a fault of this server. */
const INTERNAL = { status: 500, code: 'INTERNAL' };

export function errorsDocument(): string {
  const rows = Object.entries(ERROR_CODES).map(
    ([code, { meaning, http = INTERNAL, grpc }]) =>
      `| \`${code}\` | ${meaning} | ${http.status} \`${http.code}\` | \`${grpc}\` |`,
  );
  return `${HEADING}| code | meaning | HTTP | gRPC |\n|---|---|---|---|\n${rows.join('\n')}\n`;
}

if (import.meta.main) writeFileSync(fileURLToPath(new URL('../docs/errors.md', import.meta.url)), errorsDocument());
