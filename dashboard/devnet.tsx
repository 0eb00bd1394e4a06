// The dashboard of a development network, a page of its own: all its nodes, and switches for what can be done to them.
// It asks nobody but the devnet command that it came from.
import { render } from 'preact';
import './style.css';
import { startFollowing } from './data/devnet.ts';
import { Devnet } from './views/devnet.tsx';

const root = document.getElementById('app');
if (root !== null) {
  render(<Devnet />, root);
  startFollowing();
}
