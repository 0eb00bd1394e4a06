// The chains a node can belong to: topic prefix, easiest target, genesis header. The numbers are those of go-chaincfg.

export type Network = 'mainnet' | 'testnet' | 'stn' | 'regtest' | 'teratestnet' | 'tstn';

export interface NetworkParameters {
  readonly name: Network;
  /** Default of `chainCfgParams_topicPrefix` on each wire. */
  readonly topicPrefixes: { readonly 'go-p2p': string; readonly 'message-bus': string };
  /** The easiest allowed target in compact form. */
  readonly powLimitBits: number;
  readonly allowsMinDifficultyBlocks: boolean;
  /** 80 bytes. */
  readonly genesisHeader: Uint8Array;
}

/** Merkle root of the genesis block of 2009 in header order; every chain but tstn starts with the same coinbase. */
const FIRST_COINBASE = '3ba3edfd7a7b12b27ac72c3e67768f617fc81bc3888a51323a9fb8aa4b1e5e4a';
const TSTN_COINBASE = '8fc98ce2660d92de885d31286c6286a97c429fcef5a4d62a495ec6255b2e4564';

function genesis(merkleRoot: string, time: number, bits: number, nonce: number): Uint8Array {
  const bytes = Buffer.alloc(80);
  bytes.writeInt32LE(1, 0);
  bytes.write(merkleRoot, 36, 'hex');
  bytes.writeUInt32LE(time, 68);
  bytes.writeUInt32LE(bits, 72);
  bytes.writeUInt32LE(nonce, 76);
  return new Uint8Array(bytes);
}

const TESTNET_GENESIS = genesis(FIRST_COINBASE, 1_296_688_602, 0x1d00ffff, 414_098_458);

function parameters(
  name: Network,
  powLimitBits: number,
  allowsMinDifficultyBlocks: boolean,
  genesisHeader: Uint8Array,
): NetworkParameters {
  // go-chaincfg 1.4 brought the longer prefix in the commit that brought message-bus; releases before say the shorter.
  const topicPrefixes = { 'go-p2p': `bitcoin/${name}`, 'message-bus': `teranode/bitcoin/1.0.0/${name}` };
  return { name, topicPrefixes, powLimitBits, allowsMinDifficultyBlocks, genesisHeader };
}

export const NETWORKS: { readonly [K in Network]: NetworkParameters } = {
  mainnet: parameters('mainnet', 0x1d00ffff, false, genesis(FIRST_COINBASE, 1_231_006_505, 0x1d00ffff, 2_083_236_893)),
  testnet: parameters('testnet', 0x1d00ffff, true, TESTNET_GENESIS),
  stn: parameters('stn', 0x207fffff, false, TESTNET_GENESIS),
  regtest: parameters('regtest', 0x207fffff, true, genesis(FIRST_COINBASE, 1_296_688_602, 0x207fffff, 2)),
  teratestnet: parameters('teratestnet', 0x1d00ffff, true, genesis(FIRST_COINBASE, 0x68a46f34, 0x1d00ffff, 0x411f6c9c)),
  tstn: parameters('tstn', 0x1d00ffff, true, genesis(TSTN_COINBASE, 1_782_864_000, 0x1d00ffff, 0x6a201818)),
};
