// The file that a run of the whole benchmark leaves.
import type { Rest, Starts } from './at-rest.ts';
import type { Machine } from './machine.ts';
import type { ManyMessages } from './many-messages.ts';
import type { Row } from './measure.ts';

export interface Results {
  readonly benchmark: 'teranode-p2p';
  readonly machine: Machine;
  /** Too short for figures that mean something. */
  readonly isQuick: boolean;
  /** Of each row of gossip. */
  readonly seconds: number;
  readonly gossip: Row[];
  readonly messages: ManyMessages[];
  readonly starts: Starts[];
  readonly rest: Rest[];
  /** As bench/bans.ts prints them. */
  readonly bans: unknown[];
}

/** As the formatter of this repository writes it: short lists of numbers in one line. */
export function jsonOf(results: Results): string {
  const text = JSON.stringify(results, null, 2);
  return `${text.replaceAll(/\[\s+([-\d.,\s]+?)\s+\]/g, (_all, list: string) => `[${list.replaceAll(/\s+/g, ' ')}]`)}\n`;
}
