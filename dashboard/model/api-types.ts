// Types of the API's answers, taken from the schemas of its routes: a route that changes breaks the check of the page.
import type { z } from 'zod';
import type { NETWORK } from '../../src/adapters/http/api/network.ts';
import type { BAN, EXPLANATION, HEALTH, PEER, SYNC } from '../../src/adapters/http/api/schemas.ts';
import type { EVENT } from '../../src/adapters/http/events/event-schema.ts';
import type { FeedItem, Movement } from '../../src/cli/devnet/feed.ts';
import type { DevnetState, NodeState } from '../../src/cli/devnet/state.ts';

export type Peer = z.output<typeof PEER>;
export type Ban = z.output<typeof BAN>;
export type Explanation = z.output<typeof EXPLANATION>;
export type Health = z.output<typeof HEALTH>;
export type Sync = z.output<typeof SYNC>;
export type Network = z.output<typeof NETWORK>;
export type FeedEvent = z.output<typeof EVENT>;

/** Of the control API of a development network. */
export type DevnetItem = FeedItem;
export type DevnetMovement = Movement;
export type { DevnetState, NodeState };
