// Names of the gossip topics: the prefix tells chains apart.

/** `<TopicPrefix>-<topic>`, as in Go. */
export function topicName(prefix: string, topic: string): string {
  return `${prefix}-${topic}`;
}
