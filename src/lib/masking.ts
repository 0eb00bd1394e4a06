// Removes passwords and tokens from URLs that are shown to people, even from malformed ones.

export const MASK = '********';

/**
 * Greedy: up to the last `@`, because passwords may contain unescaped ones, and also `#`, `/` and `?`. Where a later
 * part of a URL contains an `@`, more is masked than necessary. Files of a stack have no users.
 */
const USER_INFO = /(?<!\bfile):\/\/(.*)@/s;
/** A user name that may stay: not a token, which is longer or stands alone. */
const NAMED_USER = /^([\w.-]{1,20}):./s;
/** What follows a user name where the `@` is missing: `#` starts a comment in a settings file. It is not a port. */
const CUT_PASSWORD = /(:\/\/[^@:/?#[\],\s]+:)(?!\d{1,5}(?:[/?#,;\s)"']|$))[^@]*$/;
/** A parameter of a query, a fragment or a list of words. */
const PARAMETER = /(?:^|[?&;#\s])([^=&;?#\s]*)=/g;
const SECRET_NAME = /pass|pw|secret|token|key|sig|auth|cred|jwt|session/i;
const URL_IN_TEXT = /\b[a-z+.-]{1,20}:\/\/\S+/gi;

/**
 * Masks the user information of a URL, except the user name of a name and password, and everything after the name of
 * the first secret parameter of its query or fragment. Other texts are returned unchanged.
 */
export function withoutPasswords(url: string): string {
  return withoutSecretParameters(url.includes('@') ? withoutUser(url) : url.replace(CUT_PASSWORD, `$1${MASK}`));
}

function withoutUser(url: string): string {
  return url.replace(USER_INFO, (_whole, user: string) => {
    const name = NAMED_USER.exec(user)?.[1];
    return name === undefined ? `://${MASK}@` : `://${name}:${MASK}@`;
  });
}

/** Where the value of an unescaped secret ends cannot be known, so it is masked to the end. */
function withoutSecretParameters(url: string): string {
  for (const { 0: parameter, 1: name = '', index } of url.matchAll(PARAMETER))
    if (SECRET_NAME.test(name)) return `${url.slice(0, index + parameter.length)}${MASK}`;
  return url;
}

/** As {@link withoutPasswords}, for a value that may be a URL without its scheme, or with a damaged one. */
export function withoutAnyPassword(value: string): string {
  if (value.includes('://') || !value.includes('@')) return withoutPasswords(value);
  return withoutPasswords(`://${value}`).slice(3);
}

/** Masks passwords in every URL of a text; a URL ends at the next white space. */
export function withoutPasswordsOfUrls(text: string): string {
  return text.includes('://') ? text.replace(URL_IN_TEXT, withoutPasswords) : text;
}
