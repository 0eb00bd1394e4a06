// HalfSipHash-2-4 with 64 bits of output (Aumasson and Bernstein, SipHash): a hash with a secret key, made of 32-bit
// operations only. Peers choose what is looked up in tables; without the key nobody can choose keys that collide.
import { randomFillSync } from 'node:crypto';

const ROUNDS = 2;
const LAST_ROUNDS = 4;
/** Initial values of the third and fourth word of the state, and the marks of an output of 64 bits. */
const [START_2, START_3] = [0x6c796765, 0x74656462];
const [WIDE, SECOND_HALF] = [0xee, 0xdd];

export class KeyedHash {
  /** The result of the last `update`. */
  low = 0;
  high = 0;
  private readonly key0: number;
  private readonly key1: number;

  /** `key`: two words; default random, so that each table has its own. */
  constructor(key: Int32Array = randomFillSync(new Int32Array(2))) {
    this.key0 = key[0] ?? 0;
    this.key1 = key[1] ?? 0;
  }

  /**
   * Hashes `bytes` bytes that stand in `words` from word `at` on, low byte first. The bytes of the last word beyond
   * them must be 0.
   */
  update(words: Int32Array, at: number, bytes: number): void {
    let v0 = this.key0 | 0;
    let v1 = this.key1 ^ WIDE;
    let v2 = this.key0 ^ START_2;
    let v3 = this.key1 ^ START_3;
    const whole = bytes >>> 2;
    const rest = (bytes & 3) === 0 ? 0 : (words[at + whole] as number);
    // Both halves of the result end with rounds of their own.
    for (let block = 0; block <= whole + 2; block += 1) {
      const isMessage = block <= whole;
      const word = block < whole ? (words[at + block] as number) : isMessage ? rest | (bytes << 24) : 0;
      if (isMessage) v3 ^= word;
      else if (block === whole + 1) v2 ^= WIDE;
      else {
        this.low = v1 ^ v3;
        v1 ^= SECOND_HALF;
      }
      for (let round = isMessage ? ROUNDS : LAST_ROUNDS; round > 0; round -= 1) {
        v0 = (v0 + v1) | 0;
        v1 = ((v1 << 5) | (v1 >>> 27)) ^ v0;
        v0 = (v0 << 16) | (v0 >>> 16);
        v2 = (v2 + v3) | 0;
        v3 = ((v3 << 8) | (v3 >>> 24)) ^ v2;
        v0 = (v0 + v3) | 0;
        v3 = ((v3 << 7) | (v3 >>> 25)) ^ v0;
        v2 = (v2 + v1) | 0;
        v1 = ((v1 << 13) | (v1 >>> 19)) ^ v2;
        v2 = (v2 << 16) | (v2 >>> 16);
      }
      if (isMessage) v0 ^= word;
    }
    this.high = v1 ^ v3;
  }
}
