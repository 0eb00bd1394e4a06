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
import { countText, durationText, NONE, shortHash, shortId } from '../model/format.ts';
import { healthText, partOf } from '../model/health-text.ts';
import { lagOf, lagText, stateText, syncReasons, tipText } from '../model/lag.ts';
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
const DELAY_LINES = [{ label: 'mean delay', colour: 'accent' }] as const;

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
      {state !== undefined && (
        <ul>
          {syncReasons(state, network.value, peer).map((reason) => (
            <li key={reason}>{reason}</li>
          ))}
        </ul>
      )}
    </section>
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
      title="Delay between neighbours"
      hint="How long after the first delivery other neighbours bring the same block or subtree."
      unit=" ms"
      lines={DELAY_LINES}
      series={series}
    />
  );
}
