// Keeps each RPC that we send below the 1 MiB that peers read; a longer one ends the stream, and that peer hears
// nothing more. Answers to IWANT and the message IDs of a busy second are the RPCs that grow: they are split, as
// go-libp2p-pubsub does.
import type { GossipsubParts, IHave, Rpc, RpcMessage, Stage } from './parts.ts';

/** Half of what peers read: gossipsub adds to an RPC by itself. */
const MAX_PART_BYTES = 512 * 1024;
/** Author, sequence number, topic, and the lengths before each field. */
const MESSAGE_OVERHEAD_BYTES = 256;
/** A message ID, a subscription, a control message. */
const ENTRY_BYTES = 64;
/** Message IDs that may go together with messages. */
const MAX_ADDED_IDS = 1000;

type SendRpc = GossipsubParts['sendRpc'];

export class RpcSplitting implements Stage<'outgoing'> {
  readonly feature = 'rpcSplitting';
  private readonly pendingIHaves: GossipsubParts['gossip'];

  /** `pendingIHaves`: by peer, what gossipsub adds to the next RPC. */
  constructor(pendingIHaves: GossipsubParts['gossip']) {
    this.pendingIHaves = pendingIHaves;
  }

  sendRpc(next: SendRpc): SendRpc {
    // A copy: gossipsub adds to an RPC what is pending for one peer, and uses the same RPC for the next.
    const send: SendRpc = (id, rpc) => next(id, { ...rpc });
    return (id, rpc) => {
      const pending = this.pendingIHaves.get(id);
      const ihaves = rpc.control === undefined ? pending : [...(pending ?? []), ...rpc.control.ihave];
      if (ihaves === undefined || idsOf(ihaves) <= MAX_ADDED_IDS) return sendMessages(send, id, rpc);
      this.pendingIHaves.delete(id);
      const isSent = ihaves.map((each) => send(id, ihaveOnly(each)));
      const others: Rpc = { ...rpc, control: rpc.control && { ...rpc.control, ihave: [] } };
      return isEmpty(others) ? isSent.every(Boolean) : sendMessages(send, id, others);
    };
  }
}

/** About how much memory an RPC takes. */
export function bytesOf({ subscriptions, messages, control }: Rpc): number {
  const lists = Object.values(control ?? {}) as readonly (readonly { readonly messageIDs?: readonly unknown[] }[])[];
  const entries = [...subscriptions, ...lists.flat()].length;
  const ids = lists.flat().reduce((sum, { messageIDs }) => sum + (messageIDs?.length ?? 0), 0);
  return messages.reduce((sum, message) => sum + sizeOf(message), (entries + ids) * ENTRY_BYTES);
}

/** New lists each time: gossipsub adds what is pending to the lists that it is given. */
function ihaveOnly(ihave: IHave): Rpc {
  return {
    subscriptions: [],
    messages: [],
    control: { ihave: [ihave], iwant: [], graft: [], prune: [], idontwant: [] },
  };
}

/** Control messages go with the first part. Returns whether that was sent. */
function sendMessages(send: SendRpc, id: string, rpc: Rpc): boolean {
  const [first, ...others] = messageParts(rpc.messages);
  const isSent = send(id, first === undefined || others.length === 0 ? rpc : { ...rpc, messages: first });
  for (const messages of others) send(id, { subscriptions: [], messages });
  return isSent;
}

/** In their order; a single message is never split. */
function messageParts(messages: readonly RpcMessage[]): RpcMessage[][] {
  const parts: RpcMessage[][] = [];
  let bytes = Number.POSITIVE_INFINITY;
  for (const message of messages) {
    const size = sizeOf(message);
    if (bytes + size > MAX_PART_BYTES) {
      parts.push([]);
      bytes = 0;
    }
    bytes += size;
    parts.at(-1)?.push(message);
  }
  return parts;
}

function sizeOf({ data, key, signature }: RpcMessage): number {
  return (data?.length ?? 0) + (key?.length ?? 0) + (signature?.length ?? 0) + MESSAGE_OVERHEAD_BYTES;
}

function idsOf(ihaves: readonly IHave[]): number {
  return ihaves.reduce((sum, { messageIDs }) => sum + (messageIDs?.length ?? 0), 0);
}

function isEmpty({ subscriptions, messages, control }: Rpc): boolean {
  const lists = [subscriptions, messages, ...Object.values(control ?? {})] as readonly (readonly unknown[])[];
  return lists.every(({ length }) => length === 0);
}
