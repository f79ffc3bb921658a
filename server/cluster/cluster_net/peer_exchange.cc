#include "cluster_net/peer_exchange.h"

#include <utility>

namespace gyre {
namespace {

constexpr std::uint64_t kRequestId = 1;

FrameLinkOptions LinkOptions(Duration deadline, Keyring* keys, std::string greeting) {
  FrameLinkOptions options;
  options.connect_timeout = deadline;
  options.queue_bytes_max = kPushPullBytesMax + kFrameSlackBytes;
  options.payload_bytes_max = kPushPullBytesMax + kFrameSlackBytes;
  options.keys = keys;
  options.greeting = std::move(greeting);
  return options;
}

}  // namespace

PeerExchange::PeerExchange(EventLoop& loop, const Address& to, const std::string& request,
                           Duration deadline, Keyring* keys, std::string greeting, Done done)
    : to_(to), done_(std::move(done)), deadline_(loop) {
  FrameLink::Callbacks callbacks;
  callbacks.on_up = [this, asks = !request.empty()] {
    if (!asks) End({std::string_view{}, false});
  };
  callbacks.on_frame = [this](const FrameHeader& header, std::string_view payload) {
    if (header.type != FrameType::kPeerReply || header.request_id != kRequestId) return;
    End({payload, false});
  };
  callbacks.on_down = [this](const FrameLink::Down& down) {
    End({tl::unexpected<Error>(down.error), down.refused || down.reset});
  };
  link_ = std::make_unique<FrameLink>(loop, to.host, to.port,
                                      LinkOptions(deadline, keys, std::move(greeting)),
                                      std::move(callbacks));
  const bool began = request.empty() ? link_->Connect()
                                     : link_->Send(FrameType::kPeerRequest, kRequestId, request);
  // A message that the link does not take will not be taken later; the timer tells, so that `done`
  // never runs from here.
  deadline_.Start(began ? deadline : Duration{}, Duration{}, [this] {
    End({Fail(ErrorCode::kTimeout, "no answer from " + to_.ToString() + " in time"), false});
  });
}

void PeerExchange::End(const Outcome& outcome) {
  if (done_ == nullptr) return;
  deadline_.Stop();
  std::exchange(done_, nullptr)(outcome);
}

}  // namespace gyre
