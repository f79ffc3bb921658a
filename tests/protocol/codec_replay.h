// Feeds bytes to a codec as a connection does, and writes down what came out. For tests and fuzz
// targets: the result must not depend on how the bytes were split.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory>
#include <ostream>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "protocol/codec.h"

namespace gyre::testing {

// A request or an error, owned. Skipped bytes and waiting are not recorded: they may differ with
// the split.
struct Event {
  Decoded::Status status = Decoded::Status::kRequest;
  Error error;
  Request::Kind kind = Request::Kind::kCommand;
  std::vector<std::string> args;
  std::string payload;
  std::uint64_t id = 0;
  std::uint32_t hops = 0;
  std::uint32_t write_acks = 0;
  std::uint32_t deadline_ms = 0;
  bool no_forward = false;
  bool quiet = false;
  std::size_t end = 0;  // in the stream, where it was consumed up to

  friend bool operator==(const Event&, const Event&) = default;
  friend std::ostream& operator<<(std::ostream& out, const Event& event) {
    switch (event.status) {
      case Decoded::Status::kRequest:
        out << "request";
        break;
      case Decoded::Status::kError:
        out << "error";
        break;
      case Decoded::Status::kMalformed:
        out << "malformed";
        break;
      default:
        out << "other";
        break;
    }
    for (const std::string& argument : event.args) out << " [" << argument << "]";
    if (event.quiet) out << " quiet";
    if (event.kind == Request::Kind::kPeer) out << " peer [" << event.payload << "]";
    if (!event.error.message.empty()) {
      out << " " << ErrorCodeName(event.error.code) << ": " << event.error.message;
    }
    return out << " end=" << event.end << " id=" << event.id << " hops=" << event.hops;
  }
};

using Events = std::vector<Event>;
using MakeCodec = std::function<std::unique_ptr<Codec>()>;

enum class Patience {
  kAsWanted,  // Decode is called again once `wanted` bytes are there
  kNone,      // with every byte more, wanted or not
  kRewinds,   // as wanted, but what was known of the incomplete request is forgotten each time
};

// One connection's input: each call of Decode sees a fresh copy of the bytes, so that a codec which
// kept a pointer into the last one is caught by AddressSanitizer.
class Feeder {
 public:
  Feeder(Codec& codec, Patience patience) : codec_(codec), patience_(patience) {}

  // `bytes` arrive.
  void Feed(std::string_view bytes) {
    pending_.append(bytes);
    while (!closed_ && (patience_ == Patience::kNone || pending_.size() >= wanted_)) {
      if (!Step()) return;
    }
  }

  const Events& events() const { return events_; }
  bool closed() const { return closed_; }
  // Bytes not consumed yet.
  std::size_t pending() const { return pending_.size(); }
  // A codec broke its contract.
  bool broken() const { return broken_; }

 private:
  // False: nothing more can be done with what is there.
  bool Step() {
    const std::size_t size = pending_.size();
    std::unique_ptr<char[]> copy(new char[size]);
    if (size > 0) std::memcpy(copy.get(), pending_.data(), size);
    const Decoded decoded = codec_.Decode({copy.get(), size}, request_);
    broken_ |= decoded.consumed > size;
    switch (decoded.status) {
      case Decoded::Status::kNeedMore:
        broken_ |= decoded.wanted != 0 && decoded.wanted <= size;
        wanted_ = std::max(decoded.wanted, size + 1);
        if (patience_ == Patience::kRewinds) codec_.Rewind();
        return false;
      case Decoded::Status::kSkip:
        broken_ |= decoded.consumed == 0;
        break;
      case Decoded::Status::kMalformed:
        closed_ = true;
        Record(decoded);
        return false;
      case Decoded::Status::kRequest:
        broken_ |= request_.kind == Request::Kind::kCommand && request_.args.empty();
        [[fallthrough]];
      case Decoded::Status::kError:
        broken_ |= decoded.consumed == 0;
        Record(decoded);
        break;
    }
    if (broken_) return false;
    consumed_ += decoded.consumed;
    pending_.erase(0, decoded.consumed);
    wanted_ = 0;
    return !pending_.empty();
  }

  void Record(const Decoded& decoded) {
    Event event;
    event.status = decoded.status;
    event.error = decoded.error;
    event.id = request_.id;
    if (decoded.status == Decoded::Status::kRequest) {
      event.kind = request_.kind;
      event.args.assign(request_.args.begin(), request_.args.end());
      event.payload = request_.payload;
      event.hops = request_.hops;
      event.write_acks = request_.write_acks;
      event.deadline_ms = request_.deadline_ms;
      event.no_forward = request_.no_forward;
    }
    event.quiet = request_.quiet;
    event.end = consumed_ + decoded.consumed;
    events_.push_back(std::move(event));
  }

  Codec& codec_;
  const Patience patience_;
  Request request_;
  std::string pending_;
  std::size_t wanted_ = 0;
  std::size_t consumed_ = 0;
  Events events_;
  bool closed_ = false;
  bool broken_ = false;
};

struct Replayed {
  Events events;
  bool closed = false;
  std::size_t pending = 0;
  bool broken = false;

  friend bool operator==(const Replayed&, const Replayed&) = default;
};

// Feeds `bytes` to a fresh codec in pieces; piece i ends at `ends[i]` (ascending), the last at the
// end of `bytes`.
inline Replayed ReplaySplit(const MakeCodec& make, std::string_view bytes,
                            const std::vector<std::size_t>& ends,
                            Patience patience = Patience::kAsWanted) {
  const std::unique_ptr<Codec> codec = make();
  Feeder feeder(*codec, patience);
  std::size_t at = 0;
  for (const std::size_t end : ends) {
    feeder.Feed(bytes.substr(at, end - at));
    at = end;
  }
  feeder.Feed(bytes.substr(at));
  return {feeder.events(), feeder.closed(), feeder.pending(), feeder.broken()};
}

}  // namespace gyre::testing
