// Texts that peers and other programs wrote, fit to be shown: on a page, in a log or on a terminal they cannot move the
// cursor, turn the direction of writing, or hide characters.

/** Nearly all texts are nothing else. */
const PRINTABLE_ASCII = /^[ -~]*$/;
/** Controls that separate words or lines. */
const SEPARATORS = /[\t\n\v\f\r\u0085\u2028\u2029]+/g;
/** Other controls, format characters (bidi, zero width), and what is invisible by default. */
const INVISIBLE = /[\p{Cc}\p{Cf}\p{Default_Ignorable_Code_Point}]/gu;
const MAX_DEPTH = 16;

/**
 * The text without characters that are not shown; line breaks and tabs become spaces, halves of surrogate pairs
 * replacement characters. Longer texts are cut to
 * `maxChars`. A text that is cut does not keep the whole one in memory.
 */
export function shownText(text: string, maxChars = Number.POSITIVE_INFINITY): string {
  const isPlain = PRINTABLE_ASCII.test(text);
  const shown = isPlain ? text : text.toWellFormed().replace(SEPARATORS, ' ').replace(INVISIBLE, '');
  if (shown.length <= maxChars) return shown;
  // The last character may be cut in half.
  const cut = shown.slice(0, maxChars).replace(/[\uD800-\uDBFF]$/, '');
  return Buffer.from(cut).toString();
}

/** As `shownText`, line by line. */
export function shownLines(text: string): string {
  return text
    .split('\n')
    .map((line) => shownText(line))
    .join('\n');
}

/** A copy of plain objects and arrays in which each text is shown; the value itself where nothing changes. */
export function shownTexts<T>(value: T, depth = 0): T {
  if (typeof value === 'string') return shownText(value) as T;
  if (typeof value !== 'object' || value === null || depth >= MAX_DEPTH) return value;
  if (Array.isArray(value)) {
    const items = value.map((each) => shownTexts(each, depth + 1));
    return (items.some((each, i) => each !== value[i]) ? items : value) as T;
  }
  const prototype: unknown = Object.getPrototypeOf(value);
  if (prototype !== Object.prototype && prototype !== null) return value;
  const fields = Object.entries(value).map(([key, each]) => [key, shownTexts(each, depth + 1), each] as const);
  if (fields.every(([, shown, each]) => shown === each)) return value;
  return Object.fromEntries(fields.map(([key, shown]) => [key, shown])) as T;
}
