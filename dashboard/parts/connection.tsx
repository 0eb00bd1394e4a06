// Whether the page is connected, in words.
import type { StreamState } from '../data/stream.ts';

export function Connection<S extends StreamState>({
  state,
  texts,
}: {
  readonly state: S;
  readonly texts: Readonly<Record<S, string>>;
}) {
  const kind = state === 'live' ? 'ok' : state === 'lost' || state === 'refused' ? 'bad' : 'wait';
  return (
    <p class={`connection ${kind}`} role="status" aria-live="polite" data-state={state}>
      <span class="dot" aria-hidden="true" />
      {texts[state]}
    </p>
  );
}
