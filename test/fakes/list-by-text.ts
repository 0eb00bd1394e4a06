// A ban list as tests write it: by texts, which are parsed as the service does, and with promises that resolve when the
// store has the change.
import { checkedBanKey, parseBanKey } from '../../src/bans/list/ban-key.ts';
import type { BanList, BanListener } from '../../src/bans/list/ban-list.ts';
import type { BanFacts } from '../../src/bans/list/new-ban.ts';
import type { StoreLink } from '../../src/bans/store/store-link.ts';
import type { BanEntry } from '../../src/domain/ban.ts';

export class ListByText {
  readonly list: BanList;

  /** Also reads what other servers change, once the link starts reading. */
  constructor(list: BanList, link: StoreLink) {
    this.list = list;
    link.follow({
      type: 'ban',
      reload: async (changed) => {
        for await (const _changes of list.reload(changed));
      },
    });
  }

  init = () => this.list.init();
  purge = () => this.list.purge();
  entries = () => this.list.entries();
  listBanned = () => this.list.listBanned();
  subscribe = (listener: BanListener) => this.list.subscribe(listener);
  unsubscribe = (listener: BanListener) => this.list.unsubscribe(listener);
  clear = () => this.list.clear().stored;
  isBanned = (text: string) => this.banOf(text) !== undefined;

  banOf(text: string): BanEntry | undefined {
    const key = parseBanKey(text);
    return key && this.list.banOf(key);
  }

  async add(text: string, untilMs?: number, facts?: BanFacts): Promise<BanEntry> {
    const { entry, stored } = this.list.add(checkedBanKey(text), untilMs, facts);
    await stored;
    return entry;
  }

  /** Adds without waiting for the store; undefined when the list has no room. */
  tryAdd(text: string, untilMs: number, facts: BanFacts): BanEntry | undefined {
    const { entry, isInForce } = this.list.add(checkedBanKey(text), untilMs, facts);
    return isInForce ? entry : undefined;
  }

  async remove(text: string): Promise<readonly BanEntry[]> {
    const { lifted, stored } = this.list.remove(checkedBanKey(text));
    await stored;
    return lifted;
  }
}
