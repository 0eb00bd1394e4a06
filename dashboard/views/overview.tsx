// The first view: where this node is, where the network is, whether everything works, and what passes.

import { useMemo } from 'preact/hooks';
import {
  delays,
  health,
  network,
  nowMs,
  peerName,
  peers,
  rates,
  results,
  sampleVersion,
  self,
  sync,
} from '../data/store.ts';
import type { Sync } from '../model/api-types.ts';
import { agoText, countText, durationText, NONE, shortHash, shortId } from '../model/format.ts';
import { healthText, partOf } from '../model/health-text.ts';
import { comparedText, lagOf, lagText, stateText, syncFacts, tipText } from '../model/lag.ts';
import { Chart } from '../parts/chart.tsx';
import { Facts, PeerLink } from '../parts/facts.tsx';

const RATE_LINES = [
  { label: 'blocks', colour: 'block' },
  { label: 'subtrees', colour: 'subtree', dash: [6, 3] },
  { label: 'rejected transactions', colour: 'rejected_tx', dash: [2, 3] },
  { label: 'node statuses', colour: 'node_status', dash: [10, 4] },
] as const;
const RESULT_LINES = [
  { label: 'accepted', colour: 'ok' },
  { label: 'ignored', colour: 'warn', dash: [6, 3] },
  { label: 'rejected', colour: 'bad', dash: [2, 3] },
] as const;
const DELAY_LINES = [
  { label: 'p50', colour: 'accent' },
  { label: 'p99', colour: 'warn', dash: [6, 3] },
] as const;

export function Overview() {
  return (
    <>
      <h1 tabIndex={-1}>Overview</h1>
      <div class="cards">
        <OwnTip />
        <NetworkTip />
        <SyncState />
      </div>
      <div class="charts">
        <RateChart />
        <ResultChart />
        <DelayChart />
      </div>
      <HealthParts />
    </>
  );
}

function OwnTip() {
  const { bestHeight, bestBlockHash } = sync.value ?? {};
  const lag = lagOf(bestHeight, network.value?.tip?.height);
  return (
    <section class="panel" aria-labelledby="own">
      <h2 id="own">Our best block</h2>
      <p class="big" data-test="own-height">
        {countText(bestHeight)}
      </p>
      <p class="mono" title={bestBlockHash}>
        {shortHash(bestBlockHash)}
      </p>
      <p>
        {lag === undefined
          ? 'No peer claims a block to compare it with.'
          : `Compared with the network: ${lagText(lag)}.`}
      </p>
      <Facts
        facts={[
          ['Client name', self.value.clientName ?? NONE],
          ['Peer ID', <span title={self.value.peerId}>{shortId(self.value.peerId)}</span>],
          ['Version', self.value.version ?? NONE],
        ]}
      />
    </section>
  );
}

function NetworkTip() {
  const known = network.value;
  return (
    <section class="panel" aria-labelledby="tip">
      <h2 id="tip">The network’s best block</h2>
      <p class="big">{countText(known?.tip?.height)}</p>
      <p class="mono" title={known?.tip?.hash}>
        {shortHash(known?.tip?.hash)}
      </p>
      <p>{known === undefined ? 'Not known yet.' : tipText(known)}</p>
      <Facts
        facts={[
          ['Connected peers', countText(known?.connectedPeers)],
          [
            'Versions',
            known?.versions
              .slice(0, 4)
              .map(({ version, peers: count }) => `${version || 'unknown'} (${count})`)
              .join(', ') || NONE,
          ],
        ]}
      />
    </section>
  );
}

function SyncState() {
  const state = sync.value;
  const syncPeer = state?.syncPeer;
  const peer = peers.value.find(({ id }) => id === syncPeer?.peerId);
  return (
    <section class="panel" aria-labelledby="sync">
      <h2 id="sync">Sync</h2>
      <p>{stateText(state?.fsmState)}</p>
      {syncPeer !== undefined && (
        <p>
          Sync peer: <PeerLink id={syncPeer.peerId} text={peerName(syncPeer.peerId)} />, for{' '}
          {durationText(nowMs.value - syncPeer.sinceMs)}.
        </p>
      )}
      <p data-test="sync-reason">{state?.choice?.explanation ?? 'No sync peer was looked for yet.'}</p>
      {syncPeer !== undefined && state !== undefined && (
        <ul>
          {syncFacts(state, peer).map((fact) => (
            <li key={fact}>{fact}</li>
          ))}
        </ul>
      )}
      {state?.lastEnd !== undefined && (
        <p>
          The last sync, with <PeerLink id={state.lastEnd.peerId} text={peerName(state.lastEnd.peerId)} />, ended{' '}
          {agoText(state.lastEnd.atMs, nowMs.value)}: {state.lastEnd.explanation}.
        </p>
      )}
      {state?.choice !== undefined && state.choice.considered.length > 0 && <Compared choice={state.choice} />}
    </section>
  );
}

/** The peers among which the sync peer was chosen, on demand. */
function Compared({ choice }: { readonly choice: NonNullable<Sync['choice']> }) {
  return (
    <details data-test="compared">
      <summary>Peers as they were compared: {comparedText(choice)}</summary>
      <p class="hint">
        Compared {agoText(choice.comparedAtMs, nowMs.value)}. While there is a sync peer, peers are not compared again.
      </p>
      {/* biome-ignore lint/a11y/noNoninteractiveTabindex: a region that scrolls must be reached with the keyboard */}
      <section class="scroll" tabIndex={0} aria-label="Peers that were compared">
        <table>
          <thead>
            <tr>
              <th scope="col">Peer</th>
              <th scope="col">Result</th>
              <th scope="col" class="number">
                Claims
              </th>
              <th scope="col" class="number">
                Failed attempts
              </th>
              <th scope="col" class="number">
                Ban score
              </th>
            </tr>
          </thead>
          <tbody>
            {choice.considered.map(({ peerId, isChosen, explanation, height, failedAttempts, banScore }) => (
              <tr key={peerId}>
                <th scope="row">
                  <PeerLink id={peerId} text={peerName(peerId)} />
                </th>
                <td>{isChosen ? <strong>{explanation}</strong> : explanation}</td>
                <td class="number">{countText(height)}</td>
                <td class="number">{failedAttempts}</td>
                <td class="number">{Math.round(banScore * 10) / 10}</td>
              </tr>
            ))}
          </tbody>
        </table>
      </section>
    </details>
  );
}

function HealthParts() {
  const checks = health.value?.checks ?? [];
  return (
    <section class="panel" aria-labelledby="health">
      <h2 id="health">Health</h2>
      <p>{healthText(checks)}</p>
      <ul class="checks">
        {checks.map(({ name, ok, details }) => (
          <li key={name}>
            <span class={ok ? 'mark ok' : 'mark bad'}>{ok ? 'OK' : 'fails'}</span>
            <span>
              <strong>{partOf(name).title}</strong> <span class="muted">{partOf(name).purpose}: </span>
              {details}
            </span>
          </li>
        ))}
      </ul>
    </section>
  );
}

function RateChart() {
  const slot = Math.floor(nowMs.value / 2000);
  const series = useMemo(() => rates.series(Date.now()), [slot]);
  return (
    <Chart
      title="Announcements"
      hint="Per second in the last ten minutes, as this page received them."
      unit=" /s"
      lines={RATE_LINES}
      series={series}
    />
  );
}

function ResultChart() {
  const series = useMemo(() => results.series(), [sampleVersion.value]);
  return (
    <Chart
      title="Validation results"
      hint="Gossip messages of the last minute on all topics, by the result of their validation."
      unit=" /min"
      lines={RESULT_LINES}
      series={series}
    />
  );
}

function DelayChart() {
  const series = useMemo(() => delays.series(), [sampleVersion.value]);
  return (
    <Chart
      title="Propagation delay"
      hint="How much later than the first neighbour the others delivered the same block or subtree, in the last minute. Messages carry no time, so how long the way from the author was is not known."
      unit=" ms"
      lines={DELAY_LINES}
      series={series}
    />
  );
}
