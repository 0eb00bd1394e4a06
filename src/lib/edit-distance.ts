// How much two names differ, to find the name that was meant.

/** The least number of inserted, removed and replaced characters that makes one text the other (Levenshtein). */
export function editDistance(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_each, i) => i);
  for (let i = 0; i < a.length; i += 1) {
    const next = [i + 1];
    for (let j = 0; j < b.length; j += 1) {
      const replaced = (row[j] ?? 0) + (a[i] === b[j] ? 0 : 1);
      next.push(Math.min(replaced, (row[j + 1] ?? 0) + 1, (next[j] ?? 0) + 1));
    }
    row = next;
  }
  return row[b.length] ?? 0;
}

/**
 * The most similar of some names, letter case aside; undefined when each needs more than `maxDistance` changed
 * characters. The first of equally similar names.
 */
export function nearestName(name: string, known: Iterable<string>, maxDistance: number): string | undefined {
  let nearest: string | undefined;
  let least = maxDistance + 1;
  for (const each of known) {
    if (Math.abs(each.length - name.length) >= least) continue;
    const distance = editDistance(each.toLowerCase(), name.toLowerCase());
    if (distance < least) {
      least = distance;
      nearest = each;
    }
  }
  return nearest;
}
