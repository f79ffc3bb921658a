// What was found out about the requests that come next (Handler::LookAhead): their commands, and the
// keys of those that have one. Handle takes it up, so that nothing is looked up or hashed twice.
#pragma once

#include <cstddef>
#include <vector>

#include "command/command.h"
#include "protocol/request.h"
#include "storage/key.h"

namespace gyre {

class Lookahead {
 public:
  struct Entry {
    const Request* request = nullptr;
    const Command* command = nullptr;  // null: there is no such command
    bool has_key = false;
    Key key;  // where the request has exactly one
  };

  void Clear() {
    entries_.clear();
    next_ = 0;
  }
  void Add(const Entry& entry) { entries_.push_back(entry); }

  // What is known of `request`, whose turn it is; null where it was not looked at ahead. Those before
  // it were left out.
  const Entry* Take(const Request& request) {
    while (next_ < entries_.size()) {
      const Entry& entry = entries_[next_++];
      if (entry.request == &request) return &entry;
    }
    return nullptr;
  }

  const std::vector<Entry>& entries() const { return entries_; }

 private:
  std::vector<Entry> entries_;
  std::size_t next_ = 0;
};

}  // namespace gyre
