// Bans in force, and the form to ban and to lift bans, which needs the admin key.
import { useState } from 'preact/hooks';
import { ApiError, adminKey, call } from '../data/api.ts';
import { refresh } from '../data/poll.ts';
import { bans } from '../data/store.ts';
import type { Ban } from '../model/api-types.ts';
import { BanTable } from '../parts/ban-table.tsx';
import { KeyForm } from '../parts/key-form.tsx';

const DURATIONS = [
  { text: 'default of the server', ms: undefined },
  { text: 'an hour', ms: 3_600_000 },
  { text: 'a day', ms: 86_400_000 },
  { text: 'thirty days', ms: 30 * 86_400_000 },
] as const;

export function Bans({ subject }: { readonly subject: string | undefined }) {
  const [result, setResult] = useState('');
  const act = async (action: () => Promise<string>) => {
    try {
      setResult(await action());
    } catch (error) {
      setResult(error instanceof ApiError ? `Refused: ${error.message}` : String(error));
    }
    await refresh();
  };
  const lift = (ban: Ban) =>
    act(async () => {
      const { coveredBy } = await call<{ coveredBy?: Ban }>(`/api/v1/bans?subject=${encodeURIComponent(ban.key)}`, {
        method: 'DELETE',
      });
      return `The ban of ${ban.key} is lifted.${coveredBy ? ` The ban of ${coveredBy.key} still covers it.` : ''}`;
    });
  const known = bans.value;
  const hasKey = adminKey.value !== '';
  return (
    <>
      <h1 tabIndex={-1}>Bans</h1>
      <section class="panel" aria-labelledby="change">
        <h2 id="change">Ban a peer, an address or a subnet</h2>
        {!hasKey && <p>Bans need the admin key.</p>}
        <KeyForm />
        {hasKey && <BanForm first={subject ?? ''} onBan={(body) => act(() => ban(body))} />}
        <p role="status" aria-live="polite" data-test="ban-result">
          {result}
        </p>
      </section>
      <section class="panel" aria-labelledby="force">
        <h2 id="force">In force</h2>
        <p>{countOf(known)}</p>
        {known !== undefined && known.bans.length > 0 && (
          <BanTable caption="Bans in force" bans={known.bans} {...(hasKey && { onLift: (each) => void lift(each) })} />
        )}
      </section>
    </>
  );
}

function countOf(known: typeof bans.value): string {
  if (known === undefined) return 'Not known yet.';
  const { total, bans: shown } = known;
  if (total === 0) return 'Nobody is banned.';
  return total === shown.length
    ? `Number of bans: ${total}.`
    : `Number of bans: ${total}, of which ${shown.length} are shown.`;
}

interface BanBody {
  readonly subject: string;
  readonly untilMs?: number;
  readonly reason?: string;
}

async function ban(body: BanBody): Promise<string> {
  const { key, isStored } = await call<Ban & { isStored: boolean }>('/api/v1/bans', { method: 'POST', body });
  return `${key} is banned.${isStored ? '' : ' The ban store does not have the ban yet: a restart would undo it.'}`;
}

function BanForm({ first, onBan }: { readonly first: string; readonly onBan: (body: BanBody) => Promise<void> }) {
  const [subject, setSubject] = useState(first);
  const [reason, setReason] = useState('');
  const [duration, setDuration] = useState(0);
  const submit = (event: Event) => {
    event.preventDefault();
    const ms = DURATIONS[duration]?.ms;
    void onBan({
      subject: subject.trim(),
      ...(ms !== undefined && { untilMs: Date.now() + ms }),
      ...(reason.trim() !== '' && { reason: reason.trim() }),
    });
  };
  return (
    <form class="ban" onSubmit={submit}>
      <label>
        <span>Peer ID, IP address or subnet</span>
        <input
          name="subject"
          required
          value={subject}
          onInput={({ currentTarget }) => setSubject(currentTarget.value)}
        />
      </label>
      <label>
        <span>For</span>
        <select value={String(duration)} onChange={({ currentTarget }) => setDuration(Number(currentTarget.value))}>
          {DURATIONS.map(({ text }, i) => (
            <option key={text} value={String(i)}>
              {text}
            </option>
          ))}
        </select>
      </label>
      <label>
        <span>Reason (optional)</span>
        <input name="reason" value={reason} onInput={({ currentTarget }) => setReason(currentTarget.value)} />
      </label>
      <button type="submit">Ban</button>
    </form>
  );
}
