// Bans in force with their evidence; with `onLift`, each has a button to lift it.
import { nowMs } from '../data/store.ts';
import type { Ban } from '../model/api-types.ts';
import { dateText, durationText, NONE } from '../model/format.ts';

export interface BanTableProps {
  readonly caption: string;
  readonly bans: readonly Ban[];
  readonly onLift?: (ban: Ban) => void;
}

export function BanTable({ caption, bans, onLift }: BanTableProps) {
  return (
    // biome-ignore lint/a11y/noNoninteractiveTabindex: a region that scrolls must be reached with the keyboard
    <section class="scroll" tabIndex={0} aria-label={caption}>
      <table>
        <caption>{caption}</caption>
        <thead>
          <tr>
            <th scope="col">Subject</th>
            <th scope="col">Kind</th>
            <th scope="col">Reason</th>
            <th scope="col">Evidence</th>
            <th scope="col">By</th>
            <th scope="col">Since</th>
            <th scope="col">Ends in</th>
            {onLift && <th scope="col">Action</th>}
          </tr>
        </thead>
        <tbody>
          {bans.map((ban) => (
            <tr key={ban.key}>
              <th scope="row" class="mono wrap">
                {ban.key}
              </th>
              <td>{ban.kind}</td>
              <td>{ban.reason}</td>
              <td>
                {ban.evidence || NONE}
                {ban.because !== undefined && ` (because of the ban of ${ban.because})`}
              </td>
              <td>{ban.source}</td>
              <td>{dateText(ban.createdAtMs)}</td>
              <td>{durationText(ban.untilMs - nowMs.value)}</td>
              {onLift && (
                <td>
                  <button type="button" aria-label={`Lift the ban of ${ban.key}`} onClick={() => onLift(ban)}>
                    Lift
                  </button>
                </td>
              )}
            </tr>
          ))}
        </tbody>
      </table>
    </section>
  );
}
