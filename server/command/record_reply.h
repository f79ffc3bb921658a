// Saying a stored record to a writer.
#pragma once

#include "command/keyed_call.h"
#include "protocol/reply.h"
#include "storage/record.h"

namespace gyre {

// Value, flags and version; each protocol sends what it has words for. The shard's lock is held.
inline void SayRecord(const RecordView& record, ReplyWriter& reply) {
  const RecordHead head{.key = record.key(),
                        .flags = record.flags(),
                        .version = record.version(),
                        .value_bytes = record.value_bytes()};
  if (record.is_contiguous()) [[likely]] {
    return reply.Record(head, record.value());
  }
  reply.BeginRecord(head);
  record.ForEachChunk([&](std::string_view chunk) { reply.Chunk(chunk); });
  reply.EndRecord();
}

inline void SayRecordOrNull(const RecordView& record, ReplyWriter& reply) {
  record ? SayRecord(record, reply) : reply.Null();
}

// Says the call's record, or null, and gives it a new expiry; one that has passed removes it.
inline void SayAndExpire(KeyedCall& call, const RecordView& record, UnixMillis expiry_ms) {
  if (expiry_ms != kNeverExpires && expiry_ms <= call.now) {
    SayRecordOrNull(record, call.reply);
    call.Remove();
    return;
  }
  if (!record) return call.reply.Null();
  call.reply.Reserve(record.key().size() + record.value_bytes());
  if (call.SetExpiry(expiry_ms)) SayRecord(call.changed(), call.reply);
}

}  // namespace gyre
