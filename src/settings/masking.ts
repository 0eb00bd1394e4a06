// What of a text may be shown to people: never a password, however odd the URL that holds it.

export const MASK = '********';

/**
 * A URL without the password of its user (up to the last `@`, because passwords hold unescaped ones) and without those in its query. Other
 * texts come back as they are.
 */
export function withoutPasswords(text: string): string {
  return text
    .replace(/:\/\/(.*)@/gs, (whole, user: string) =>
      user.includes(':') ? `://${user.slice(0, user.indexOf(':'))}:${MASK}@` : whole,
    )
    .replace(/([?&;][^=&;#]*(?:pass|pwd|secret|token|key)[^=&;#]*=)[^&#]*/gi, `$1${MASK}`);
}
