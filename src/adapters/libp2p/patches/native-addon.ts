// Loads the addon that verifies Ed25519 signatures (native/), where `npm ci` built it. A file that does not load, lacks
// a function or verifies wrongly is not used, and the reason is told. docs/adr/0008-native-verification.md.
import { existsSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

export interface NativeAddon {
  verify(publicKey: Uint8Array, signature: Uint8Array, message: Uint8Array): boolean;
  verifyPacked(packed: Uint8Array, count: number, results: Uint8Array): void;
  verifyPackedAsync(packed: Uint8Array, count: number): Promise<Uint8Array>;
  /** Public keys kept by all verifications of the process; an addon of an older checkout has it not. */
  keptKeys?(): number;
}

export const ADDON_FILE = join(packageRoot(), 'native/teranode-p2p-native.node');

/** Test 1 of RFC 8032, section 7.1: the signature of an empty message. */
const PUBLIC_KEY = Buffer.from('d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a', 'hex');
const SIGNATURE = Buffer.from(
  'e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b',
  'hex',
);

/** The addon, or the reason why there is none. */
export function loadNativeAddon(file = ADDON_FILE): NativeAddon | string {
  if (!existsSync(file)) return 'not built: "npm ci" in a checkout builds it where cargo is installed';
  try {
    const addon = createRequire(import.meta.url)(file) as NativeAddon;
    return fault(addon) ?? addon;
  } catch (error) {
    return `does not load: ${error instanceof Error ? error.message : String(error)}`;
  }
}

/** Throws what the addon throws. */
function fault(addon: NativeAddon): string | undefined {
  for (const name of ['verify', 'verifyPacked', 'verifyPackedAsync'] as const)
    if (typeof addon[name] !== 'function') return `has no function ${name}`;
  const message = new Uint8Array(0);
  const wrong = Buffer.from(SIGNATURE);
  wrong[0] = 0;
  const results = new Uint8Array(3);
  const items = [SIGNATURE, wrong, SIGNATURE].flatMap((signature) => [Buffer.alloc(4), PUBLIC_KEY, signature]);
  const isRight =
    addon.verify(PUBLIC_KEY, SIGNATURE, message) === true && addon.verify(PUBLIC_KEY, wrong, message) === false;
  addon.verifyPacked(Buffer.concat(items), results.length, results);
  return isRight && results.join() === '1,0,1' ? undefined : 'verifies wrongly';
}

/** The nearest folder with a package.json: this code may stand in src/, in dist/ or in a bundle. */
function packageRoot(): string {
  let folder = dirname(fileURLToPath(import.meta.url));
  while (!existsSync(join(folder, 'package.json')) && folder !== dirname(folder)) folder = dirname(folder);
  return folder;
}
