// The key space of the fake cluster: one map behind one mutex, shared by all of its nodes, so that
// a test of routing and retries sees a perfect cluster behind imperfect nodes.
#pragma once

#include <cstdint>
#include <map>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "proto_gen/native.pb.h"

namespace gyre {

class FakeStore {
 public:
  // Answers a command about keys; false if it knows none of this name.
  bool Execute(const std::vector<std::string>& args, wire::Value& reply);

  std::size_t size() const;
  std::optional<std::string> Get(const std::string& key) const;
  void Put(const std::string& key, const std::string& value);

 private:
  struct Item {
    std::string value;
    std::uint32_t flags = 0;
    std::uint64_t version = 0;
    std::int64_t ttl_ms = 0;     // 0: none; the fake's time stands still
    std::int64_t expiry_ms = 0;  // as PXAT gave it; 0: none
  };

  void Set(const std::vector<std::string>& args, wire::Value& reply);
  // mc.set, mc.add, mc.replace: name key flags exptime value; mc.cas: ... version value.
  void Store(const std::vector<std::string>& args, wire::Value& reply);
  void AddRecord(const std::string& key, const Item& item, wire::Value& reply);

  mutable std::mutex mutex_;
  std::map<std::string, Item> items_;
  std::uint64_t next_version_ = 1;
};

}  // namespace gyre
