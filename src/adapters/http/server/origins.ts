// Which web pages may connect: all, or the origins of the settings.

/** Origins as browsers send them, such as https://explorer.example; `*` allows all. */
export type Origins = readonly string[];

/** Clients other than browsers send no origin, and are allowed. */
export function isAllowedOrigin(origins: Origins, origin: string | undefined): boolean {
  return origin === undefined || origins.includes('*') || origins.includes(origin);
}
