// Writes docs/settings.md from the schema.
import { writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { settingsDocument } from '../src/settings/document.ts';

writeFileSync(fileURLToPath(new URL('../docs/settings.md', import.meta.url)), settingsDocument());
