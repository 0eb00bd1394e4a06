// Announcements as they come, of some types or one author, until somebody pauses them.
import { useMemo, useRef, useState } from 'preact/hooks';
import { eventCount, feed, feedVersion } from '../data/store.ts';
import type { FeedFilter, FeedRow } from '../model/feed-window.ts';
import { FeedLine } from '../parts/feed-line.tsx';

const TYPES = ['block', 'subtree', 'mining_on', 'best_block', 'rejected_tx', 'node_status', 'tip', 'reorg'] as const;
const MAX_ROWS = 200;

export function Feed() {
  const [types, setTypes] = useState<ReadonlySet<string>>(new Set());
  const [author, setAuthor] = useState('');
  const [isPaused, setPaused] = useState(false);
  const filter: FeedFilter = { types, author };
  const version = useRef(feedVersion.value);
  if (!isPaused) version.current = feedVersion.value;
  const paused = useRef<readonly FeedRow[]>([]);
  const live = useMemo(
    () => (isPaused ? paused.current : feed.rows(filter, MAX_ROWS)),
    [version.current, types, author, isPaused],
  );
  paused.current = live;

  const toggle = (type: string) => {
    const next = new Set(types);
    if (!next.delete(type)) next.add(type);
    setTypes(next);
    setPaused(false);
  };
  return (
    <>
      <h1 tabIndex={-1}>Feed</h1>
      <section class="panel">
        <form class="filters" onSubmit={(event) => event.preventDefault()}>
          <fieldset>
            <legend>Types (none chosen: all)</legend>
            {TYPES.map((type) => (
              <label key={type}>
                <input type="checkbox" checked={types.has(type)} onChange={() => toggle(type)} />
                <span>{type}</span>
              </label>
            ))}
          </fieldset>
          <label>
            <span>Author (name or peer ID)</span>
            <input
              type="search"
              value={author}
              onInput={({ currentTarget }) => {
                setAuthor(currentTarget.value);
                setPaused(false);
              }}
            />
          </label>
          <button type="button" aria-pressed={isPaused} onClick={() => setPaused(!isPaused)}>
            {isPaused ? 'Continue' : 'Pause'}
          </button>
          <p class="hint" data-test="event-count">
            {eventCount.value} events since the page was opened. At most {MAX_ROWS} are shown.
          </p>
        </form>
        {/* biome-ignore lint/a11y/noNoninteractiveTabindex: a region that scrolls must be reached with the keyboard */}
        <section class="scroll feed" tabIndex={0} aria-label="Announcements">
          <table>
            <caption>Announcements, the latest first{isPaused ? ', paused' : ''}</caption>
            <thead>
              <tr>
                <th scope="col">Time</th>
                <th scope="col">Type</th>
                <th scope="col" class="number">
                  Height
                </th>
                <th scope="col">Hash</th>
                <th scope="col">Author</th>
                <th scope="col">From</th>
                <th scope="col">Details</th>
              </tr>
            </thead>
            <tbody>
              {live.map((row) => (
                <FeedLine key={row.order} row={row} />
              ))}
              {live.length === 0 && (
                <tr>
                  <td colSpan={7}>Nothing yet that fits the filters.</td>
                </tr>
              )}
            </tbody>
          </table>
        </section>
      </section>
    </>
  );
}
