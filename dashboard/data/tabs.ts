// The tabs of this browser that show this page. One of them reads the feed and passes it on to the others, because
// browsers allow six connections to a server, and each reader of the feed keeps one. Where there are no locks (plain
// HTTP beyond loopback), each tab reads for itself.

const NAME = 'teranode-p2p feed';

export type TabMessage =
  /** A tab asks for the state of the feed. */
  | { readonly kind: 'hello' }
  | { readonly kind: 'state'; readonly state: 'lost' | 'starting' }
  /** The feed began or goes on after `id`. `isFresh`: it begins there, whatever other tabs have seen. */
  | { readonly kind: 'live'; readonly id: string | undefined; readonly isFresh: boolean }
  | { readonly kind: 'event'; readonly id: string | undefined; readonly event: string; readonly data: string };

export class Tabs {
  private readonly locks: LockManager | undefined = (navigator as Partial<Navigator>).locks;
  private readonly channel: BroadcastChannel | undefined;
  private endTurn: (() => void) | undefined;

  /** `hear` gets what other tabs tell. */
  constructor(hear: (message: TabMessage) => void) {
    if (this.locks === undefined) return;
    this.channel = new BroadcastChannel(NAME);
    this.channel.onmessage = ({ data }: MessageEvent<TabMessage>) => hear(data);
  }

  tell(message: TabMessage): void {
    this.channel?.postMessage(message);
  }

  /** Runs `read` while no other tab does; waits for as long as one does. */
  async inTurn(read: () => Promise<void>): Promise<void> {
    if (this.locks === undefined) await read();
    else
      await this.locks.request(NAME, async () => {
        const ended = new Promise<void>((resolve) => {
          this.endTurn = resolve;
        });
        await Promise.race([read(), ended]);
      });
  }

  /** Lets another tab read at once, whether this one has ended or not. */
  leave(): void {
    this.endTurn?.();
  }
}
