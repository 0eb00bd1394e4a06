// Writes docs/errors.md from the table of codes.
import { writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { ERROR_CODES } from '../src/lib/errors.ts';

const HEADING = `# Errors

Every error that this program throws has one of these codes. The columns HTTP and gRPC say how a request is answered
when the error ends it: HTTP status and \`code\` of the JSON body, gRPC status. \`INTERNAL\` answers do not carry the
error's text; the server's log has it. Made by \`npm run docs:errors\`.

`;
/** How a request is answered that an error of ours ended. */
const INTERNAL = { status: 500, code: 'INTERNAL' };

export function errorsDocument(): string {
  const rows = Object.entries(ERROR_CODES).map(
    ([code, { meaning, http = INTERNAL, grpc }]) =>
      `| \`${code}\` | ${meaning} | ${http.status} \`${http.code}\` | \`${grpc}\` |`,
  );
  return `${HEADING}| code | meaning | HTTP | gRPC |\n|---|---|---|---|\n${rows.join('\n')}\n`;
}

if (import.meta.main) writeFileSync(fileURLToPath(new URL('../docs/errors.md', import.meta.url)), errorsDocument());
