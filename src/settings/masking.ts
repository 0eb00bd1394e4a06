// Removes passwords from texts that are shown to people, even from malformed URLs.

export const MASK = '********';

/**
 * Masks the password of a URL's user (up to the last `@`, because passwords may contain unescaped ones) and secrets in
 * its query. Other texts are returned unchanged.
 */
export function withoutPasswords(text: string): string {
  return text
    .replace(/:\/\/(.*)@/gs, (whole, user: string) =>
      user.includes(':') ? `://${user.slice(0, user.indexOf(':'))}:${MASK}@` : whole,
    )
    .replace(/([?&;][^=&;#]*(?:pass|pwd|secret|token|key)[^=&;#]*=)[^&#]*/gi, `$1${MASK}`);
}
