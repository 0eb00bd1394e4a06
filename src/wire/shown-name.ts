// Names that peers give themselves, fit for logs, terminals and pages.

import { shownText } from '../lib/shown-text.ts';

export const MAX_NAME_CHARS = 64;

/** The printable ASCII of a text without the characters that HTML and shells treat specially, cut to 64 characters. */
export function shownName(text: string): string {
  return shownText(text.replaceAll(/[^ -~]|[<>&"'`]/g, ''), MAX_NAME_CHARS);
}
