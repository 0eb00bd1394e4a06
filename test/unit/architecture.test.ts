// The borders of the house hold, and the check that says so finds a breach.
import { mkdirSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { expect, test } from 'vitest';
import { findBreaches, findDashboardBreaches } from '../../scripts/check-borders.ts';
import { temporaryFolder } from '../support/cleanup.ts';
import { REPO } from '../support/repo.ts';

function houseWith(files: Record<string, string>): string {
  const src = join(temporaryFolder('house'), 'src');
  for (const [name, text] of Object.entries(files)) {
    mkdirSync(dirname(join(src, name)), { recursive: true });
    writeFileSync(join(src, name), text);
  }
  return src;
}

test('no file of src breaches a border', () => {
  expect(findBreaches(join(REPO, 'src'))).toEqual([]);
});

test('no file of the dashboard breaches a border', () => {
  expect(findDashboardBreaches(join(REPO, 'dashboard'))).toEqual([]);
});

test.each([
  ['a pure part imports a library', 'model/a.ts', "import { signal } from '@preact/signals';"],
  ['a pure part imports what runs in the browser', 'model/a.ts', "import { call } from '../data/api.ts';"],
  ['the data imports a view', 'data/a.ts', "import { Feed } from '../views/feed.tsx';"],
  ['a view imports the server', 'views/a.tsx', "import { PEER } from '../../src/adapters/http/api/schemas.ts';"],
  ['the API types are values', 'model/api-types.ts', "import { PEER } from '../../src/adapters/http/api/schemas.ts';"],
  ['another library', 'views/a.tsx', "import { h } from 'react';"],
])('a breach in the dashboard is found: %s', (_what, name, text) => {
  const folder = join(temporaryFolder('dashboard'), 'dashboard');
  mkdirSync(dirname(join(folder, name)), { recursive: true });
  writeFileSync(join(folder, name), text);
  expect(findDashboardBreaches(folder)).toEqual([`${name}: may not import ${/'(.*)'/.exec(text)?.[1]}`]);
});

test.each([
  [
    'wire imports ports',
    { 'wire/a.ts': "import { b } from '../ports/b.ts';", 'ports/b.ts': '' },
    'wire may not import ports',
  ],
  [
    'an adapter imports another',
    { 'adapters/a/a.ts': "export * from '../b/b.ts';", 'adapters/b/b.ts': '' },
    'an adapter imports another',
  ],
  [
    'the core imports an adapter',
    { 'gossip/a.ts': "import '../adapters/b/b.ts';", 'adapters/b/b.ts': '' },
    'gossip may not import adapters',
  ],
  [
    'a type-only import counts',
    { 'wire/a.ts': "import type { B } from '../gossip/b.ts';", 'gossip/b.ts': '' },
    'wire may not import gossip',
  ],
  [
    'a dynamic import counts',
    { 'wire/a.ts': "await import('../gossip/b.ts');", 'gossip/b.ts': '' },
    'wire may not import gossip',
  ],
  [
    'a library out of its folder',
    { 'gossip/a.ts': "import { x } from '@libp2p/crypto/keys';" },
    'belongs into adapters/libp2p',
  ],
  [
    'several lines',
    { 'wire/a.ts': "import {\n  b,\n} from '../gossip/b.ts';", 'gossip/b.ts': '' },
    'wire may not import gossip',
  ],
  [
    'an import past the door of a room',
    { 'app/a.ts': "import '../bans/list/b.ts';", 'bans/list/b.ts': '' },
    'passes the door bans/service.ts: bans/list/b.ts',
  ],
  [
    'an import of the door by a part of its room',
    { 'bans/list/b.ts': "import '../service.ts';", 'bans/service.ts': '' },
    'a part of bans imports its door',
  ],
  ['a file of 401 lines', { 'wire/a.ts': '\n'.repeat(400) }, '401 lines'],
  ['an area without a row', { 'attic/a.ts': "import '../wire/b.ts';", 'wire/b.ts': '' }, 'no row'],
  ['a scoped package out of its folder', { 'gossip/a.ts': "import '@fastify/cors';" }, 'belongs into adapters/http'],
  ['a library without a row', { 'gossip/a.ts': "import '@somebody/thing';" }, 'has no row in the table of libraries'],
  ['a loose file in src', { 'thing.ts': '' }, 'lies loose in src'],
  [
    'an adapter that casts into a library',
    { 'adapters/a/a.ts': 'const parts = node as unknown as Internals;' },
    'private parts of a library belong into patches/',
  ],
  [
    'a cast on two lines',
    { 'adapters/libp2p/gossipsub/a.ts': 'const parts = pubsub as unknown\n  as Internals;' },
    'private parts of a library belong into patches/',
  ],
  ['a file that is not there', { 'wire/a.ts': "import './b.ts';" }, 'does not exist'],
])('found: %s', (_what, files, breach) => {
  expect(findBreaches(houseWith(files as Record<string, string>)).join('\n')).toContain(breach);
});

test('only internals.ts of gossipsub and patches may cast into a library', () => {
  const cast = 'const parts = library as unknown as Internals;';
  const files = { 'adapters/libp2p/gossipsub/internals.ts': cast, 'adapters/libp2p/patches/a.ts': cast };
  expect(findBreaches(houseWith(files))).toEqual([]);
});
