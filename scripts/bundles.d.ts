interface BundleInputs {
  readonly sources: readonly string[];
  readonly libraries: readonly string[];
}

export const INPUTS: string;
export function bundleFolders(root: string): string[];
export function currentBundle(root: string): string | undefined;
export function fingerprintOf(root: string, inputs: BundleInputs, read: (path: string) => Uint8Array): string;
