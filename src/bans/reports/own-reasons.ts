// Reports whose reason tells of our own node or of the network, not of the content: they are nobody's offence.

/** Texts of the report that a peer may have written. */
const URLS = /\S+:\/\/\S+/g;

/** Lower case, with one space for whatever separates words: `STORAGE_ERROR` is `storage error`. */
function plain(text: string): string {
  return text
    .toLowerCase()
    .replaceAll(/[^a-z0-9]+/g, ' ')
    .trim();
}

/** Whether a reason contains one of the texts as whole words. `texts`: `p2p_report_own_reasons`. */
export function ownReasons(texts: readonly string[]): (reason: string) => boolean {
  const words = texts.map(plain).filter((text) => text !== '');
  return (reason) => {
    const found = ` ${plain(reason.replaceAll(URLS, ' '))} `;
    return words.some((text) => found.includes(` ${text} `));
  };
}
