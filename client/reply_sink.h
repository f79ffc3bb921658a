// Who is told how requests ended.
#pragma once

#include <cstddef>
#include <memory>
#include <utility>

#include "gyre/client.h"

namespace gyre::client {

class ReplySink {
 public:
  virtual ~ReplySink() = default;
  // Once for each request, `index` being the request's: on the I/O thread, or on the caller's where
  // nothing was sent; so that requests of one sink may end on two threads at once. Must not throw.
  virtual void OnReply(std::size_t index, Result<Value> reply) = 0;
};

// A sink that calls `function(Result<Value>)`.
template <typename Function>
std::shared_ptr<ReplySink> SinkOf(Function function) {
  class FunctionSink final : public ReplySink {
   public:
    explicit FunctionSink(Function function) : function_(std::move(function)) {}
    void OnReply(std::size_t /*index*/, Result<Value> reply) override {
      function_(std::move(reply));
    }

   private:
    Function function_;
  };
  return std::make_shared<FunctionSink>(std::move(function));
}

}  // namespace gyre::client
