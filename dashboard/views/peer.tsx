// One peer: what it says and does, and why it is banned or not.
import { useEffect, useState } from 'preact/hooks';
import { ApiError, call } from '../data/api.ts';
import { network, nowMs, peers, sampleVersion } from '../data/store.ts';
import type { Explanation, Peer } from '../model/api-types.ts';
import { agoText, bytesText, countText, dateText, msText, NONE, percentText, shortHash } from '../model/format.ts';
import { lagOf, lagText } from '../model/lag.ts';
import { BanTable } from '../parts/ban-table.tsx';
import { Facts } from '../parts/facts.tsx';

export function PeerPage({ id }: { readonly id: string }) {
  const [found, setFound] = useState<Explanation | undefined>(undefined);
  const [problem, setProblem] = useState('');
  useEffect(() => {
    let isShown = true;
    call<Explanation>(`/api/v1/explain/${encodeURIComponent(id)}`).then(
      (answer) => {
        if (!isShown) return;
        setFound(answer);
        setProblem('');
      },
      (error: unknown) => isShown && setProblem(error instanceof ApiError ? error.message : String(error)),
    );
    return () => {
      isShown = false;
    };
  }, [id, sampleVersion.value]);
  const peer = peers.value.find((each) => each.id === id);
  return (
    <>
      <p>
        <a href="#/peers">All peers</a>
      </p>
      <h1 tabIndex={-1}>{peer?.clientName ?? 'Peer'}</h1>
      <p class="mono wrap">{id}</p>
      {peer === undefined ? <p role="status">This peer is not connected.</p> : <Connected peer={peer} />}
      {problem !== '' && <p class="problem">{problem}</p>}
      {found !== undefined && <Explained found={found} />}
      <p>
        <a class="button" href={`#/bans/${encodeURIComponent(id)}`}>
          Ban this peer
        </a>
      </p>
    </>
  );
}

function Connected({ peer }: { readonly peer: Peer }) {
  const now = nowMs.value;
  return (
    <div class="cards">
      <section class="panel" aria-labelledby="chain">
        <h2 id="chain">Chain</h2>
        <Facts
          facts={[
            ['Claims height', `${countText(peer.height)} (${lagText(lagOf(peer.height, network.value?.tip?.height))})`],
            ['Claimed', agoText(peer.claimedAtMs, now)],
            ['Proven height', countText(peer.provenHeight)],
            [
              'Best block',
              <span class="mono" title={peer.bestBlockHash}>
                {shortHash(peer.bestBlockHash)}
              </span>,
            ],
            ['Storage', peer.storage ?? NONE],
            ['DataHub', peer.dataHubUrl === undefined ? NONE : `${peer.dataHubUrl} (${peer.dataHubHealth})`],
          ]}
        />
      </section>
      <section class="panel" aria-labelledby="connection">
        <h2 id="connection">Connection</h2>
        <Facts
          facts={[
            ['Direction', peer.direction],
            ['Connected', agoText(peer.connectedAtMs, now)],
            ['Addresses', peer.addresses.join(', ') || NONE],
            ['Version', peer.agentVersion ?? NONE],
            ['Wires', peer.wires.join(', ') || NONE],
            ['Latency', msText(peer.pingMs)],
            ['Received', bytesText(peer.bytesReceived)],
            ['Sent', bytesText(peer.bytesSent)],
            ['Last message', agoText(peer.lastMessageMs, now)],
          ]}
        />
      </section>
      <section class="panel" aria-labelledby="deliveries">
        <h2 id="deliveries">Deliveries and fees</h2>
        <Facts
          facts={[
            ['First deliveries', percentText(peer.firstDeliveryShare)],
            ['Mean delay', msText(peer.meanDelayMs)],
            ['Transactions in assembly', countText(peer.txCount)],
            ['Its peers', countText(peer.connectedPeersCount)],
            ['Takes transactions at', peer.propagationUrl ?? NONE],
            ['Minimum fee', peer.minMiningTxFee === undefined ? NONE : `${peer.minMiningTxFee} BSV/kB`],
          ]}
        />
      </section>
    </div>
  );
}

function Explained({ found }: { readonly found: Explanation }) {
  const { scores, threshold, offences, inForce, isWhitelisted, withheld } = found;
  return (
    <section class="panel" aria-labelledby="evidence">
      <h2 id="evidence">Ban score and evidence</h2>
      <p>
        {scores.length === 0
          ? 'No points.'
          : scores.map(({ role, score }) => `As ${role}: ${Math.round(score * 10) / 10} points.`).join(' ')}{' '}
        A ban follows at {threshold}. {isWhitelisted && 'The peer is whitelisted.'}{' '}
        {withheld.length > 0 && `Shadow mode prevented: ${withheld.join(', ')}.`}
      </p>
      {inForce.length === 0 ? <p>No ban is in force.</p> : <BanTable caption="Bans of this peer" bans={inForce} />}
      {offences.length > 0 && (
        // biome-ignore lint/a11y/noNoninteractiveTabindex: a region that scrolls must be reached with the keyboard
        <section class="scroll" tabIndex={0} aria-label="Offences">
          <table>
            <caption>Offences</caption>
            <thead>
              <tr>
                <th scope="col">When</th>
                <th scope="col">Rule</th>
                <th scope="col">Reason</th>
                <th scope="col">As</th>
                <th scope="col">Topic</th>
                <th scope="col" class="number">
                  Points
                </th>
              </tr>
            </thead>
            <tbody>
              {offences.map(({ atMs, rule, reason, role, topic, points, isShadow }, i) => (
                <tr key={`${atMs} ${i}`}>
                  <th scope="row">{dateText(atMs)}</th>
                  <td>{rule}</td>
                  <td>{reason}</td>
                  <td>{role}</td>
                  <td>{topic}</td>
                  <td class="number">{isShadow ? `${points} (shadow)` : points}</td>
                </tr>
              ))}
            </tbody>
          </table>
        </section>
      )}
    </section>
  );
}
