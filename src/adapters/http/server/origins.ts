// Which web pages may ask: all, or those of the settings.

/** `*` among them: all. Else origins as browsers send them, such as https://explorer.example. */
export type Origins = readonly string[];

/** Programs that are no browser send none, and may. */
export function isAllowedOrigin(origins: Origins, origin: string | undefined): boolean {
  return origin === undefined || origins.includes('*') || origins.includes(origin);
}
