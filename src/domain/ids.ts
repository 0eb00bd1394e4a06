// Branded texts: a peer id or a hash is checked once, where it enters, and trusted from there on.

declare const brand: unique symbol;

/** A peer id in its base58 text form (`12D3Koo…`). */
export type PeerId = string & { readonly [brand]: 'PeerId' };

/** A block hash or subtree root or transaction id: 64 lower-case hex digits in display order (byte-reversed). */
export type Hash = string & { readonly [brand]: 'Hash' };

/** A block's hash. */
export type BlockHash = Hash;

/** A subtree's root hash. */
export type SubtreeHash = Hash;
