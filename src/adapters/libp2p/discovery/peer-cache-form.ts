// The forms of the peer cache's file: that of this project, and that of go-p2p-message-bus.
import { z } from 'zod';

const fileSchema = z.object({ version: z.literal(1), peers: z.array(z.unknown()) });
const peerSchema = z.object({
  id: z.string(),
  addresses: z.array(z.unknown()),
  lastSeenMs: z.number().int().nonnegative(),
});

/** A node that go-p2p-message-bus remembers. */
const busPeerSchema = z.object({
  id: z.string(),
  name: z.string().optional(),
  addrs: z.array(z.unknown()),
  last_seen: z.string().optional(),
});

const GO_ZERO_TIME = '0001-01-01T00:00:00Z';

export type CacheEntry = z.infer<typeof peerSchema> & { readonly name?: string | undefined };

/** Throws for a file of another form. */
export function entriesOf(file: unknown): readonly unknown[] {
  return Array.isArray(file) ? file : fileSchema.parse(file).peers;
}

/** An entry of either form; undefined for anything else. */
export function peerOf(entry: unknown): CacheEntry | undefined {
  const own = peerSchema.safeParse(entry);
  if (own.success) return own.data;
  const bus = busPeerSchema.safeParse(entry);
  if (!bus.success) return undefined;
  const { id, name, addrs: addresses, last_seen: lastSeen = GO_ZERO_TIME } = bus.data;
  const lastSeenMs = Date.parse(lastSeen);
  if (Number.isNaN(lastSeenMs)) return undefined;
  // Go keeps a peer without a time.
  return { id, name, addresses, lastSeenMs: lastSeenMs < 0 ? Number.MAX_SAFE_INTEGER : lastSeenMs };
}
