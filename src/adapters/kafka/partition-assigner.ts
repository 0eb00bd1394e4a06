// Assigns partitions within a consumer group whose consumers read different topics, as ours and those of a Go node do.
// The client's own assigner only considers the topics of the group's leader; the others would not be read.
import type { GroupPartitionsAssigner, GroupPartitionsAssignments } from '@platformatic/kafka';

/** Round robin over the consumers that subscribe to a topic. */
export const bySubscription: GroupPartitionsAssigner = (_leader, members, _topics, metadata) => {
  const shares = new Map<string, GroupPartitionsAssignments>();
  const readers = new Map<string, string[]>();
  for (const memberId of [...members.keys()].sort()) {
    shares.set(memberId, { memberId, assignments: new Map() });
    for (const topic of members.get(memberId)?.topics ?? [])
      readers.set(topic, [...(readers.get(topic) ?? []), memberId]);
  }
  for (const [topic, memberIds] of readers) {
    const count = metadata.topics.get(topic)?.partitionsCount ?? 0;
    for (let partition = 0; partition < count; partition += 1) {
      const { assignments } = shares.get(memberIds[partition % memberIds.length] ?? '') ?? { assignments: new Map() };
      const share = assignments.get(topic);
      if (share === undefined) assignments.set(topic, { topic, partitions: [partition] });
      else share.partitions.push(partition);
    }
  }
  return [...shares.values()];
};
