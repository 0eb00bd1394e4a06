// A table whose columns sort it, with the semantics that screen readers know.
import type { ComponentChildren } from 'preact';
import { useState } from 'preact/hooks';
import { nextSorting, type Sorting, type SortValue, sortRows } from '../model/sort.ts';

export interface Column<T> {
  readonly name: string;
  readonly title: string;
  readonly sortBy: (row: T) => SortValue;
  /** Default: the value. */
  readonly show?: (row: T) => ComponentChildren;
  readonly isText?: boolean;
}

export interface SortableProps<T> {
  readonly caption: string;
  readonly columns: readonly Column<T>[];
  readonly rows: readonly T[];
  readonly keyOf: (row: T) => string;
  readonly first: Sorting;
  readonly empty: string;
}

export function Sortable<T>({ caption, columns, rows, keyOf, first, empty }: SortableProps<T>) {
  const [sorting, setSorting] = useState(first);
  const sorted = columns.find(({ name }) => name === sorting.column);
  const shown = sorted === undefined ? rows : sortRows(rows, sorted.sortBy, sorting.isDescending);
  return (
    // biome-ignore lint/a11y/noNoninteractiveTabindex: a region that scrolls must be reached with the keyboard
    <section class="scroll" tabIndex={0} aria-label={caption}>
      <table>
        <caption>{caption}</caption>
        <thead>
          <tr>
            {columns.map(({ name, title, isText = false }) => (
              <th key={name} scope="col" class={isText ? '' : 'number'} aria-sort={ariaSort(sorting, name)}>
                <button type="button" onClick={() => setSorting(nextSorting(sorting, name, isText))}>
                  {title}
                  <span aria-hidden="true">{sorting.column === name ? (sorting.isDescending ? ' ▾' : ' ▴') : ''}</span>
                </button>
              </th>
            ))}
          </tr>
        </thead>
        <tbody>
          {shown.map((row) => (
            <tr key={keyOf(row)}>
              {columns.map(({ name, sortBy, show, isText = false }, i) => {
                const content = show === undefined ? String(sortBy(row) ?? '–') : show(row);
                return i === 0 ? (
                  <th key={name} scope="row">
                    {content}
                  </th>
                ) : (
                  <td key={name} class={isText ? '' : 'number'}>
                    {content}
                  </td>
                );
              })}
            </tr>
          ))}
          {shown.length === 0 && (
            <tr>
              <td colSpan={columns.length}>{empty}</td>
            </tr>
          )}
        </tbody>
      </table>
    </section>
  );
}

function ariaSort({ column, isDescending }: Sorting, name: string): 'ascending' | 'descending' | 'none' {
  if (column !== name) return 'none';
  return isDescending ? 'descending' : 'ascending';
}
