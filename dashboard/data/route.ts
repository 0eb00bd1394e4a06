// The view that the part of the address after # names.
import { signal } from '@preact/signals';

export const VIEWS = [
  { name: 'overview', title: 'Overview' },
  { name: 'network', title: 'Network' },
  { name: 'peers', title: 'Peers' },
  { name: 'feed', title: 'Feed' },
  { name: 'bans', title: 'Bans' },
] as const;

export interface Route {
  readonly view: string;
  /** Of peers: the peer ID; of bans: the subject to ban. */
  readonly subject: string | undefined;
}

export const route = signal(routeOf(location.hash));

window.addEventListener('hashchange', () => {
  route.value = routeOf(location.hash);
  // As after the load of another page: the top, and what a screen reader reads first.
  window.scrollTo(0, 0);
  requestAnimationFrame(() => document.querySelector<HTMLElement>('main h1')?.focus());
});

function routeOf(hash: string): Route {
  const [view = '', subject] = hash.replace(/^#\/?/, '').split('/');
  const isKnown = VIEWS.some(({ name }) => name === view);
  return { view: isKnown ? view : 'overview', subject: subject === undefined ? undefined : decoded(subject) };
}

function decoded(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}
