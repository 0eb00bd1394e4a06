// Names of the gossip topics. The prefix distinguishes chains.

/** `<TopicPrefix>-<topic>`, as in Go. */
export function topicName(prefix: string, topic: string): string {
  return `${prefix}-${topic}`;
}
