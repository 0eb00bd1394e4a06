// A million signatures, good, crafted and corrupted, in batches of all sizes: the native addon gives each the result of
// libsodium, to crafted ones that of Go, which libsodium does not agree with on keys of small order.
import { beforeAll, expect, test } from 'vitest';
import { sodiumVerifier } from '../../src/adapters/libp2p/patches/ed25519.ts';
import { verifiedByGo } from '../support/go-ed25519.ts';
import { type NativeVerifier, nativeVerifier } from '../support/native-addon.ts';
import { corrupted, craftedSignatures, pack, type Signed, Signer } from '../support/signatures.ts';

const COUNT = 1_000_000;
/** Half a minute where nothing else runs. */
const DEADLINE_MS = 400_000;
const AUTHORS = 100;
/** Different valid signatures; each is in some thirty different batches. */
const VALID = 30_000;
/** Of the signatures of a batch. Honest neighbours send none that is invalid. */
const SHARES_INVALID = [0, 0, 0, 0, 0.01, 0.05, 0.5, 1];
const MAX_SIZE = 150;

let native: NativeVerifier;

beforeAll(async () => {
  native = await nativeVerifier();
});

/** Numbers from 0 to 1, the same in each run (mulberry32). */
function numbersFrom(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
}

test(
  'a million signatures in batches of 1 to 150, with none, few, many or all invalid, get the results of the reference',
  async () => {
    const sodium = sodiumVerifier();
    if (sodium === undefined) throw new Error('libsodium does not load on this machine');
    const reference = ({ publicKey, signature, message }: Signed) => sodium(publicKey, signature, message);

    const authors = Array.from({ length: AUTHORS }, () => new Signer());
    const valid = Array.from({ length: VALID }, (_, index) => (authors[index % AUTHORS] as Signer).sign());
    const knownResults = new Map<Signed, boolean>(valid.map((item) => [item, reference(item)]));
    // A signature whose R has a component of small order may pass in a batch: see native-verification.test.ts.
    const crafted = [...craftedSignatures()].flatMap(([rule, items]) =>
      rule === 'R with a component of small order' || rule === 'a message of 1 MiB' ? [] : items,
    );
    for (const [index, result] of (await verifiedByGo(crafted)).entries())
      knownResults.set(crafted[index] as Signed, result);

    const random = numbersFrom(25519);
    const below = (bound: number) => Math.floor(random() * bound);
    const next = (share: number): Signed => {
      const item = valid[below(VALID)] as Signed;
      if (random() >= share) return item;
      return random() < 0.2 ? (crafted[below(crafted.length)] as Signed) : corrupted(item, below(1 << 16));
    };

    const differing: string[] = [];
    const counts = { valid: 0, invalid: 0 };
    let verifying: Promise<void> = Promise.resolve();
    for (let done = 0; done < COUNT; ) {
      const share = SHARES_INVALID[below(SHARES_INVALID.length)] as number;
      const items = Array.from({ length: Math.min(1 + below(MAX_SIZE), COUNT - done) }, () => next(share));
      done += items.length;
      // The addon verifies on its thread while the reference verifies here.
      const results = native.verifyPackedAsync(pack(items), items.length);
      const expected = items.map((item) => knownResults.get(item) ?? reference(item));
      await verifying;
      verifying = results.then((given) => {
        for (const [index, item] of items.entries()) {
          counts[expected[index] ? 'valid' : 'invalid'] += 1;
          if ((given[index] === 1) !== expected[index])
            differing.push(`${expected[index]}: ${pack([item]).toString('hex')}, ${index} of ${items.length}`);
        }
      });
    }
    await verifying;
    expect(differing.slice(0, 5)).toEqual([]);
    expect(counts.valid + counts.invalid).toBe(COUNT);
    expect(Math.min(counts.valid, counts.invalid)).toBeGreaterThan(COUNT / 10);
  },
  DEADLINE_MS,
);
