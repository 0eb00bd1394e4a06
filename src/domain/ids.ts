// Branded texts: a peer ID or a hash is checked once at the border and trusted from there on.

declare const brand: unique symbol;

/** A peer ID in its base58 text form (`12D3Koo…`). */
export type PeerId = string & { readonly [brand]: 'PeerId' };

/** A block hash, subtree root or transaction id: 64 lower-case hex digits in display order (byte-reversed). */
export type Hash = string & { readonly [brand]: 'Hash' };

/** A block's hash. */
export type BlockHash = Hash;

/** A subtree's root hash. */
export type SubtreeHash = Hash;
