// Sorting of tables.

export type SortValue = number | string | boolean | undefined;

export interface Sorting {
  readonly column: string;
  readonly isDescending: boolean;
}

/** A new array; unknown values are last in either direction, equal ones keep their order. */
export function sortRows<T>(rows: readonly T[], sortBy: (row: T) => SortValue, isDescending: boolean): T[] {
  return rows.toSorted((a, b) => {
    const [left, right] = [sortBy(a), sortBy(b)];
    if (left === undefined || right === undefined) return Number(left === undefined) - Number(right === undefined);
    const order =
      typeof left === 'string' && typeof right === 'string' ? left.localeCompare(right) : Number(left) - Number(right);
    return isDescending ? -order : order;
  });
}

/** Another column begins ascending if it holds texts, else descending; the same one is turned round. */
export function nextSorting(now: Sorting, column: string, isText: boolean): Sorting {
  if (now.column === column) return { column, isDescending: !now.isDescending };
  return { column, isDescending: !isText };
}
