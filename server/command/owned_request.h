// A request that outlives the connection's input, for one that waits.
#pragma once

#include <cstddef>
#include <cstring>
#include <memory>
#include <string_view>

#include "command/command.h"
#include "protocol/request.h"

namespace gyre {

class OwnedRequest {
 public:
  explicit OwnedRequest(const Request& request) : OwnedRequest(request, request.args) {}

  // The circumstances of `like` (hops, acks, ...), with other arguments. All bytes stand in one
  // block.
  OwnedRequest(const Request& like, Arguments args) {
    for (std::string_view arg : args) bytes_ += arg.size();
    block_ = std::make_unique<char[]>(bytes_);
    char* out = block_.get();
    request_.args.reserve(args.size());
    for (std::string_view arg : args) {
      if (!arg.empty()) std::memcpy(out, arg.data(), arg.size());
      request_.args.emplace_back(out, arg.size());
      out += arg.size();
    }
    request_.hops = like.hops;
    request_.write_acks = like.write_acks;
    request_.deadline_ms = like.deadline_ms;
    request_.no_forward = like.no_forward;
  }

  Request& operator*() { return request_; }
  Request* operator->() { return &request_; }
  const Request* operator->() const { return &request_; }
  // Memory that it holds, roughly.
  std::size_t bytes() const { return bytes_ + request_.args.size() * sizeof(std::string_view); }
  static std::size_t BytesOf(Arguments args) {
    std::size_t bytes = args.size() * sizeof(std::string_view);
    for (const std::string_view arg : args) bytes += arg.size();
    return bytes;
  }

 private:
  std::unique_ptr<char[]>
      block_;  // stays where it is when the object moves, so the views stay valid
  std::size_t bytes_ = 0;
  Request request_;
};

}  // namespace gyre
