// The native addon for the suites that test it. They fail without it, where `npm test` does not need it.

import { buildNative } from '../../scripts/build-native.ts';
import { fastestVerifier, type Verifier } from '../../src/adapters/libp2p/patches/ed25519.ts';
import { REPO } from './repo.ts';

export type NativeVerifier = Required<Omit<Verifier, 'addonFault' | 'keptKeys'>> & Pick<Verifier, 'keptKeys'>;

/** Builds it when its sources changed. Throws when cargo is missing. */
export async function nativeVerifier(): Promise<NativeVerifier> {
  const failure = await buildNative(REPO, { deadlineMs: 250_000 });
  if (failure !== undefined)
    throw new Error(`tool missing: this suite needs cargo (Rust 1.88 or newer) for the native addon: ${failure}`);
  const { name, verify, verifyPacked, verifyPackedAsync, addonFault } = fastestVerifier();
  if (verifyPacked === undefined || verifyPackedAsync === undefined)
    throw new Error(`the native addon was built and is not used: ${addonFault}`);
  return { name, verify, verifyPacked, verifyPackedAsync };
}
