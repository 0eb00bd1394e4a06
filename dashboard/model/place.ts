// The place of the page in the feed: the id of the last event that it has seen, `<epoch>-<number>`.

export interface Place {
  readonly epoch: string;
  readonly number: number;
}

/** Undefined for a text that is no id. */
export function parsePlace(id: string | undefined): Place | undefined {
  const [, epoch, number] = /^(.+)-(\d+)$/.exec(id ?? '') ?? [];
  return epoch === undefined ? undefined : { epoch, number: Number(number) };
}

/** Whether an event with this id has been seen by who is at `place`. Another epoch is another start of the server. */
export function isSeen(place: Place | undefined, id: string | undefined): boolean {
  const at = parsePlace(id);
  return place !== undefined && at !== undefined && place.epoch === at.epoch && at.number <= place.number;
}

/** What is missed by who is at `place` and goes on after `id`; undefined for nothing. */
export function lostBefore(
  place: Place | undefined,
  id: string | undefined,
): { readonly reason: string; readonly count?: number } | undefined {
  const at = parsePlace(id);
  if (place === undefined || at === undefined) return undefined;
  if (at.epoch !== place.epoch) return { reason: 'restarted' };
  return at.number > place.number
    ? { reason: 'another tab went on later', count: at.number - place.number }
    : undefined;
}
