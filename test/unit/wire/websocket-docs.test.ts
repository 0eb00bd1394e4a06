// The frames of message-bus and go-p2p that docs/websocket.md shows are recorded ones.
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { REPO } from '../../support/repo.ts';

const read = (file: string) => readFileSync(join(REPO, file), 'utf8');

test('the frames that docs/websocket.md shows of Teranode are those recorded from its services', () => {
  const today: { A_frames: string[]; B_frames: string[] } = JSON.parse(read('test/data/today/websocket.json'));
  const earlier: { frames: Record<string, { data: string }[]> } = JSON.parse(
    read('test/data/messages/teranode-websocket.json'),
  );
  const recorded = new Set([
    ...today.A_frames,
    ...today.B_frames,
    ...Object.values(earlier.frames).flatMap((frames) => frames.map(({ data }) => data)),
  ]);
  const shown = [...read('docs/websocket.md').matchAll(/^```json\n(.*)\n```/gm)].map(([, frame]) => frame ?? '');
  const ofTeranode = shown.filter((frame) => !/"type":"(?:tip|reorg|lost)"/.test(frame));
  expect(ofTeranode).toHaveLength(5);
  expect(ofTeranode.filter((frame) => !recorded.has(frame))).toEqual([]);
});
