// Go's crypto/ed25519, which the peers of the network verify with (test/interop/go-ed25519).
import { GoProgram, goBinary } from './go-program.ts';
import type { Signed } from './signatures.ts';

/** The result that Go gives to each. Throws when Go is missing. */
export async function verifiedByGo(items: readonly Signed[]): Promise<boolean[]> {
  const program = new GoProgram(goBinary('go-ed25519', 'Go 1.24 or newer'));
  const base64 = (bytes: Uint8Array) => Buffer.from(bytes).toString('base64');
  const args = items.map(({ publicKey, signature, message }) => ({
    publicKey: base64(publicKey),
    signature: base64(signature),
    message: base64(message),
  }));
  const results = await program.send<boolean[]>('verify', args);
  await program.stop();
  return results;
}
