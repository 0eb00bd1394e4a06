// The dashboard: a page that shows what this node and its network do. It asks nobody but the server that it came from.
import { render } from 'preact';
import 'uplot/dist/uPlot.min.css';
import './style.css';
import { App } from './app.tsx';
import { startReading } from './data/poll.ts';

const root = document.getElementById('app');
if (root !== null) {
  render(<App />, root);
  startReading();
}
