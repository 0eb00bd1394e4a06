// Keeps what gossipsub sends in one frame below the 1 MiB that neighbours read; a longer one ends the stream, and that neighbour hears nothing more.
// Answers to IWANT and the ids of a busy second are the frames that grow: they go in parts, as from go-libp2p-pubsub.
import type { GossipSub } from '@libp2p/gossipsub';

/** The parts of an RPC that can be long. */
export interface Rpc {
  readonly subscriptions: readonly unknown[];
  readonly messages: readonly RpcMessage[];
  readonly control?: Control | undefined;
}

interface RpcMessage {
  readonly data?: Uint8Array;
  readonly key?: Uint8Array;
  readonly signature?: Uint8Array;
}

interface Control {
  readonly ihave: readonly IHave[];
  readonly iwant: readonly unknown[];
  readonly graft: readonly unknown[];
  readonly prune: readonly unknown[];
  readonly idontwant: readonly unknown[];
}

/** Of one topic; gossipsub puts in at most 5,000 ids, of 48 bytes each: a quarter of a MiB. */
interface IHave {
  readonly messageIDs?: readonly Uint8Array[];
}

/** The parts of the class that are used; private in its type. */
interface GossipInternals {
  /** What waits for the next frame to a peer. */
  readonly gossip: Map<string, readonly IHave[]>;
  sendRpc(id: string, rpc: Rpc): boolean;
}

/** Half of what is read, so that what gossipsub adds to a frame by itself has room. */
const MAX_PART_BYTES = 512 * 1024;
/** Author, sequence number, topic, and the lengths before each field. */
const MESSAGE_OVERHEAD_BYTES = 256;
/** An id, a subscription, a control message. */
const ENTRY_BYTES = 64;
/** Ids that may go together with messages. */
const MAX_ADDED_IDS = 1000;

/** Call before gossip starts. Throws TypeError when the library no longer has these parts. */
export function sendInParts(pubsub: GossipSub): void {
  const internals = pubsub as unknown as GossipInternals;
  const { sendRpc } = internals;
  if (typeof sendRpc !== 'function' || !(internals.gossip instanceof Map))
    throw new TypeError('gossipsub has not the parts that send');
  // A copy: gossipsub adds to a frame what waits for one neighbour, and uses the same frame for the next.
  const send = (id: string, rpc: Rpc) => sendRpc.call(pubsub, id, { ...rpc });
  internals.sendRpc = (id, rpc) => {
    const waiting = internals.gossip.get(id);
    const gossip = rpc.control === undefined ? waiting : [...(waiting ?? []), ...rpc.control.ihave];
    if (gossip !== undefined && idsOf(gossip) > MAX_ADDED_IDS) {
      internals.gossip.delete(id);
      const isSent = gossip.map((each) => send(id, ihaveOnly(each)));
      const rest: Rpc = { ...rpc, control: rpc.control && { ...rpc.control, ihave: [] } };
      return isEmpty(rest) ? isSent.every(Boolean) : sendMessages(send, id, rest);
    }
    return sendMessages(send, id, rpc);
  };
}

/** What a frame takes in memory, about. */
export function bytesOf({ subscriptions, messages, control }: Rpc): number {
  const lists = Object.values(control ?? {}) as readonly (readonly { readonly messageIDs?: readonly unknown[] }[])[];
  const entries = [...subscriptions, ...lists.flat()].length;
  const ids = lists.flat().reduce((sum, { messageIDs }) => sum + (messageIDs?.length ?? 0), 0);
  return messages.reduce((sum, message) => sum + sizeOf(message), (entries + ids) * ENTRY_BYTES);
}

/** New lists each time: gossipsub puts what waits into those that it is given. */
function ihaveOnly(ihave: IHave): Rpc {
  return {
    subscriptions: [],
    messages: [],
    control: { ihave: [ihave], iwant: [], graft: [], prune: [], idontwant: [] },
  };
}

/** Control messages go with the first part; whether they went is the answer. */
function sendMessages(send: GossipInternals['sendRpc'], id: string, rpc: Rpc): boolean {
  const [first, ...others] = messageParts(rpc.messages);
  const isSent = send(id, first === undefined || others.length === 0 ? rpc : { ...rpc, messages: first });
  for (const messages of others) send(id, { subscriptions: [], messages });
  return isSent;
}

/** In their order; a single message is never divided. */
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

function idsOf(gossip: readonly IHave[]): number {
  return gossip.reduce((sum, { messageIDs }) => sum + (messageIDs?.length ?? 0), 0);
}

function isEmpty({ subscriptions, messages, control }: Rpc): boolean {
  const lists = [subscriptions, messages, ...Object.values(control ?? {})] as readonly (readonly unknown[])[];
  return lists.every(({ length }) => length === 0);
}
