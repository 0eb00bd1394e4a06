// Builds the dashboard, the page at / of the HTTP server, and that of a development network: files with a hash of their content in their names, each also
// compressed. `npm run build` puts it beside the built program, scripts/make-bundle.ts into the bundle of the checkout.
import { isAbsolute, join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { build } from 'vite';

export interface BuiltDashboard {
  /** By their path in the folder of the page. */
  readonly files: readonly (readonly [name: string, content: string | Uint8Array])[];
  /** Files of libraries that are in it, absolute. */
  readonly libraries: readonly string[];
}

const PAGES = ['index.html', 'devnet.html'];
const COMPRESSED = /\.(js|css|html|svg)$/;

/** Of the sources in the checkout `root`. */
export async function buildDashboard(root: string): Promise<BuiltDashboard> {
  const libraries: string[] = [];
  const made = await build({
    root: join(root, 'dashboard'),
    configFile: false,
    logLevel: 'warn',
    publicDir: false,
    oxc: { jsx: { runtime: 'automatic', importSource: 'preact' } },
    plugins: [
      {
        name: 'note libraries',
        buildEnd() {
          const files = [...this.getModuleIds()].map((id) => id.split('?', 1)[0] ?? id);
          libraries.push(...files.filter((file) => isAbsolute(file) && file.includes('/node_modules/')));
        },
      },
    ],
    build: {
      write: false,
      target: 'es2022',
      // As files: the page may load nothing but files of the server, and data: is none.
      assetsInlineLimit: 0,
      modulePreload: false,
      reportCompressedSize: false,
      rolldownOptions: {
        input: PAGES.map((name) => join(root, 'dashboard', name)),
        // A slow machine is nothing to warn of.
        checks: { bundlerTimings: false },
      },
      license: { fileName: 'THIRD-PARTY-LICENSES.md' },
    },
  });
  const outputs = [made].flat().flatMap((each) => ('output' in each ? each.output : []));
  const files = outputs.flatMap((each) => {
    const content = each.type === 'chunk' ? each.code : each.source;
    const file = [each.fileName, content] as const;
    return COMPRESSED.test(each.fileName)
      ? [file, [`${each.fileName}.gz`, gzipSync(content, { level: 9 })] as const]
      : [file];
  });
  return { files, libraries };
}
