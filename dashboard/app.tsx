// The frame of the page: navigation, state of the connection, theme, and the view that is chosen.
import { useEffect } from 'preact/hooks';
import { route, VIEWS } from './data/route.ts';
import { answers, refusal, selfName, stream } from './data/store.ts';
import { Connection } from './parts/connection.tsx';
import { KeyForm } from './parts/key-form.tsx';
import { ThemeChoice } from './parts/theme-choice.tsx';
import { Bans } from './views/bans.tsx';
import { Feed } from './views/feed.tsx';
import { Network } from './views/network.tsx';
import { Overview } from './views/overview.tsx';
import { PeerPage } from './views/peer.tsx';
import { Peers } from './views/peers.tsx';

export function App() {
  const { view, subject } = route.value;
  const title = VIEWS.find(({ name }) => name === view)?.title ?? '';
  useEffect(() => {
    document.title = `${title} – ${selfName.value} – teranode-p2p`;
  }, [title, selfName.value]);
  return (
    <>
      <header class="top">
        <a class="skip" href={location.hash || '#/overview'} onClick={toMain}>
          Skip to the content
        </a>
        <p class="name">
          <strong>teranode-p2p</strong> <span class="muted">{selfName.value}</span>
        </p>
        <nav aria-label="Views">
          <ul>
            {VIEWS.map(({ name, title: text }) => (
              <li key={name}>
                <a href={`#/${name}`} aria-current={name === view ? 'page' : undefined}>
                  {text}
                </a>
              </li>
            ))}
          </ul>
        </nav>
        <Connection state={stream.value === 'live' && !answers.value ? 'lost' : stream.value} texts={STATES} />
        <ThemeChoice />
      </header>
      <main id="main">
        <Refusal />
        {view === 'overview' && <Overview />}
        {view === 'network' && <Network />}
        {view === 'peers' && (subject === undefined ? <Peers /> : <PeerPage key={subject} id={subject} />)}
        {view === 'feed' && <Feed />}
        {view === 'bans' && <Bans subject={subject} />}
      </main>
    </>
  );
}

function toMain(event: Event): void {
  event.preventDefault();
  document.querySelector<HTMLElement>('main h1')?.focus();
}

const STATES = {
  connecting: 'Connecting to the server',
  live: 'Live',
  lost: 'Connection to the server lost. Trying again.',
  starting: 'The server answers, but its feed is not ready. Trying again.',
  refused: 'The server asks for the admin key.',
};

/** When reads need the admin key. */
function Refusal() {
  const refused = refusal.value;
  if (refused === undefined) return null;
  return (
    <section class="panel notice" aria-labelledby="refusal">
      <h2 id="refusal">The server refuses to show its state</h2>
      <p>{refused.message}.</p>
      <KeyForm />
    </section>
  );
}
