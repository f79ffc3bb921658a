// The feed of changes of a whole cluster, as Client::Watch opens it.
//
//   auto feed = client->Watch({.prefix = "user:", .cursor = LoadCursor()});
//   if (!feed) return Complain(feed.error().message);
//   for (;;) {
//     auto event = feed->Next(std::chrono::seconds(1));       // Result<std::optional<FeedEvent>>
//     if (!event) return Complain(event.error().message);
//     if (*event) Handle(**event);
//     if (*event && (*event)->ends_group) SaveCursor(feed->cursor());
//   }
//
// What is promised
//  - Each acknowledged write of a key that asks for all copies (write_acks = replicas) is told, once its
//    copies have it: the changes of one key in their order, those of one transaction on one partition
//    together. Keys of different partitions come in any order. A write of fewer acknowledgements is told,
//    too, unless it was lost with its owner.
//  - It goes on by itself when nodes join, leave, restart or die: without a gap, and without telling
//    anything twice, as long as the next owner still keeps what comes after (each node keeps the newest
//    changes in a bounded ring of bytes). Where it does not, a kGap says so: then read what you need from
//    the records.
//  - A cursor says how far it was read. Who opens a feed with it is told everything behind it, or a kGap.
//    It moves at the end of a group: who stops in the middle of one is told the whole group again. So what
//    is handled before its cursor is stored is told at least once, and exactly once if both are stored in
//    one step.
//  - Not told is a record that expires or is evicted. Told twice, with one version, may be what the losing side
//    of a network that was cut in two wrote and told, once the other side has taken it.
//
// Next does the I/O, in the calling thread: nobody is read from, and nothing piles up, while it is not
// called. A node keeps a connection that does not read for 30 s, then closes it; the next Next opens it
// again where it was.
//
// Included by gyre/client.h; needs C++20 and the standard library alone.
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "gyre/result.h"

namespace gyre::client {

struct FeedEvent {
  enum class Kind : std::uint8_t {
    kSet,     // `key` has a new value, or a new expiry
    kRemove,  // `key` was removed
    kFlush,   // all keys of `partition` were removed
    kGap,     // changes of `partition` are missing before what follows
  };

  Kind kind = Kind::kSet;
  std::uint32_t partition = 0;
  std::string key;
  std::uint64_t version = 0;  // as in Record; not of kGap
  // kSet, if FeedOptions::values.
  std::string value;
  std::uint32_t flags = 0;
  std::int64_t expiry_ms = 0;  // unix time; 0: never
  bool ends_group = true;      // the cursor is behind it now
};

struct FeedOptions {
  // Of the keys that are told; empty: all. kFlush and kGap are told in any case.
  std::string prefix = {};
  // Feed::cursor() of an earlier feed of the same cluster; empty: from now on.
  std::string cursor = {};
  bool values = false;
  // How long Watch tries to find the owner of each partition.
  std::chrono::milliseconds open_within{5000};
};

// Move-only, one thread at a time; one that was moved from may only be assigned to or destroyed. May outlive its client, and then fails with kClosed.
class Feed {
 public:
  class Impl;  // inside the library
  explicit Feed(std::unique_ptr<Impl> impl);
  Feed(Feed&&) noexcept;
  Feed& operator=(Feed&&) noexcept;
  Feed(const Feed&) = delete;
  Feed& operator=(const Feed&) = delete;
  ~Feed();

  // The next event; nothing: none came within `most`. While nodes cannot be reached it tries again, and
  // says nothing. An Error is final: kClosed (the client is gone), kNotAllowed (as of Client), kProtocol.
  Result<std::optional<FeedEvent>> Next(std::chrono::milliseconds most);

  // Behind the last event that Next returned: some kilobytes of printable text. A cursor is good for
  // another prefix, too.
  std::string cursor() const;

  // Partitions that are read just now, of how many: fewer while nodes cannot be reached.
  std::uint32_t partitions_read() const;
  std::uint32_t partition_count() const;

 private:
  std::unique_ptr<Impl> impl_;
};

}  // namespace gyre::client
