// What a command left of one key, or of one partition: a result, never the command itself. The
// effects of one transaction on one partition, in their order, are a group.
#pragma once

#include <cstdint>

#include "storage/key.h"
#include "storage/record.h"
#include "storage/version.h"

namespace gyre {

struct Effect {
  enum class Kind : std::uint8_t {
    kPut,     // the key's record is `record`
    kRemove,  // the key is removed, whatever was or is here
    kFlush,   // of the key's partition all is void that is not newer
  };

  static Effect Put(const Key& key, const RecordView& record) {
    return {Kind::kPut, record.version(), &key, record};
  }
  static Effect Remove(const Key& key, Version version) {
    return {Kind::kRemove, version, &key, {}};
  }
  static Effect Flush(const Key& key, Version version) { return {Kind::kFlush, version, &key, {}}; }

  Kind kind;
  Version version;    // as of which it is so
  const Key* key;     // borrowed, as are its bytes; of kFlush the partition alone means something
  RecordView record;  // kPut: valid until the shard is written to again
};

}  // namespace gyre
