// Stack traces of a bundle name the files and lines of the sources. With --enable-source-maps Node would read all maps
// at the start, and keep them: 35 MB. Here a map is read when an error of its file is shown for the first time.
import { readFileSync } from 'node:fs';
import { SourceMap } from 'node:module';
import { dirname, resolve } from 'node:path';
import { pathToFileURL } from 'node:url';

/** From now on, in this process; for files of `folder`. */
export function nameSourceLines(folder) {
  const prefix = `${pathToFileURL(folder).href}/`;
  const maps = new Map();
  const mapOf = (file) => {
    if (!maps.has(file)) maps.set(file, readMap(file));
    return maps.get(file);
  };
  const shown = (frame) => {
    const text = String(frame);
    try {
      const url = frame.getFileName() ?? '';
      if (!url.startsWith(prefix)) return text;
      const [line, column] = [frame.getLineNumber(), frame.getColumnNumber()];
      const file = resolve(folder, url.slice(prefix.length));
      const { originalSource, originalLine, originalColumn } = mapOf(file)?.findEntry(line - 1, column - 1) ?? {};
      if (originalSource === undefined) return text;
      const source = pathToFileURL(resolve(dirname(file), originalSource)).href;
      return text.replace(`${url}:${line}:${column}`, `${source}:${originalLine + 1}:${originalColumn + 1}`);
    } catch {
      return text;
    }
  };
  Error.prepareStackTrace = (error, frames) =>
    [headOf(error), ...frames.map((each) => `    at ${shown(each)}`)].join('\n');
}

function headOf(error) {
  try {
    return Error.prototype.toString.call(error);
  } catch {
    return '<error>';
  }
}

function readMap(file) {
  try {
    return new SourceMap(JSON.parse(readFileSync(`${file}.map`, 'utf8')));
  } catch {
    return undefined;
  }
}
