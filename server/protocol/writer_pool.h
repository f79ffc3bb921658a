// The reply writers of one connection. As many exist as replies were ever pending at once; a writer
// that was recycled is used again, so that the steady state does not allocate.
#pragma once

#include <memory>
#include <vector>

#include "protocol/reply.h"

namespace gyre {

template <typename Writer>
class WriterPool {
 public:
  // A recycled writer, or a new one made from `arguments`. The pool owns it.
  template <typename... Arguments>
  Writer* Take(Arguments&... arguments) {
    if (!free_.empty()) {
      Writer* writer = free_.back();
      free_.pop_back();
      return writer;
    }
    all_.push_back(std::make_unique<Writer>(arguments...));
    free_.reserve(all_.size());
    return all_.back().get();
  }

  // `writer` came from Take.
  void Return(ReplyWriter* writer) { free_.push_back(static_cast<Writer*>(writer)); }

 private:
  std::vector<std::unique_ptr<Writer>> all_;
  std::vector<Writer*> free_;
};

}  // namespace gyre
