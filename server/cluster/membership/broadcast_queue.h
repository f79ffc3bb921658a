// The broadcasts that ride on datagrams until each was sent often enough to have reached everybody.
//
// A rumour told lambda * log(N + 1) times by everybody who hears it reaches all N with high
// probability (SWIM, section 4.1). Those told least often go first, the newest of them before older
// ones. A newer broadcast about the same subject replaces the older: nobody needs both.
//
// Bounded: at kBroadcastsMax the one told most often is given up; push/pull will carry it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "proto/node_id.h"

namespace gyre {

inline constexpr std::size_t kBroadcastsMax = 4096;

class BroadcastQueue {
 public:
  enum class Kind : std::uint8_t { kMember, kHoldings, kRing, kRebalance, kSetting };
  struct Subject {
    Kind kind = Kind::kMember;
    NodeId id;
    friend auto operator<=>(const Subject&, const Subject&) = default;
  };

  // `bytes`: an encoded wire::Broadcast.
  void Add(const Subject& subject, std::string bytes);

  // Appends to `out`, as fields `field_tag` of a message, what fits in `bytes_max` more bytes, and
  // counts it as told; what was told `transmits_max` times leaves the queue.
  void Fill(char field_tag, std::size_t bytes_max, int transmits_max, std::string& out);

  bool empty() const { return by_subject_.empty(); }
  std::size_t size() const { return by_subject_.size(); }
  void Clear();

 private:
  struct Order {
    int transmits = 0;
    std::uint64_t newest = 0;  // counts down
    friend auto operator<=>(const Order&, const Order&) = default;
  };
  struct Entry {
    Order order;
    std::string bytes;
  };

  std::map<Subject, Entry> by_subject_;
  std::map<Order, Subject> by_order_;
  std::uint64_t next_ = ~std::uint64_t{0};
};

// Appends `bytes` as a length-delimited protobuf field.
void AppendField(char tag, const std::string& bytes, std::string& out);
// Bytes that AppendField adds.
std::size_t FieldBytes(std::size_t bytes);

}  // namespace gyre
