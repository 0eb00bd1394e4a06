// The report of doctor for people: a line per check, then what to do, shortest way first.
import { shownText } from '../../lib/shown-text.ts';
import { CHECKS, type CheckName, type Finding } from './finding.ts';

const STATES = { true: 'ok', false: 'NOT OK', null: '-' } as const;
const MAX_TEXT_CHARS = 2000;

/** The findings in the order of the table, with what peers and services wrote fit to be shown. */
export function inOrder(findings: readonly Finding[]): readonly Finding[] {
  const byName = new Map(findings.map((each) => [each.name, each]));
  return (Object.keys(CHECKS) as CheckName[]).flatMap((name) => {
    const finding = byName.get(name);
    if (finding === undefined) return [];
    const [found, advice] = [finding.found, finding.advice].map((text) => shownText(text, MAX_TEXT_CHARS));
    return [{ name, ok: finding.ok, found: found ?? '', advice: advice ?? '' }];
  });
}

export function reportText(findings: readonly Finding[]): string {
  const width = Math.max(...findings.map(({ name }) => name.length));
  const lines = findings.map(({ name, ok, found }) => `${STATES[`${ok}`].padEnd(8)}${name.padEnd(width)}  ${found}\n`);
  const failed = findings.filter(({ ok }) => ok === false);
  if (failed.length === 0) return `${lines.join('')}\nNothing is wrong as far as this can be seen.\n`;
  const advice = failed.map(({ name, advice: what }) => `  ${name}: ${what}\n`);
  return `${lines.join('')}\nWhat to do\n${advice.join('')}`;
}
