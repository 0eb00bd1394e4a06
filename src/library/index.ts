// The entry `teranode-p2p/listen`: the listener and what is built on it, without the server.

export type { ChainEvent, ChainPoint, ReorgEvent, TipEvent } from '../domain/chain-event.ts';
export type { EndpointCheck, EndpointKind, NetworkEndpoint } from '../domain/endpoint.ts';
export { type EndpointEvent, type EndpointList, type EndpointsOptions, endpoints } from './endpoints.ts';
export type * from './events.ts';
export type { Anchor, FollowCounts } from './header-follower.ts';
export { type HeaderChain, type HeaderEvent, type HeadersOptions, type HeadersStats, headers } from './headers.ts';
export { type Listener, type ListenerReady, type ListenerStats, listen } from './listener.ts';
export type { ChainOptions, ListenOptions } from './options.ts';
