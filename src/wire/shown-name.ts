// Names that peers give themselves, fit for logs, terminals and pages.

const MAX_NAME_CHARS = 64;

/** The printable ASCII of a text without the characters that HTML and shells treat specially, cut to 64 characters. */
export function shownName(text: string): string {
  return text.replaceAll(/[^ -~]|[<>&"'`]/g, '').slice(0, MAX_NAME_CHARS);
}
