#include "command/feed_commands.h"

#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "command/arguments.h"
#include "command/binding.h"
#include "command/feed.h"
#include "command/messages.h"
#include "command/plain_call.h"

namespace gyre {
namespace feed_commands {
namespace {

// FEED [PREFIX prefix] [VALUES] [FROM place...], as a client means it.
struct FeedRequest {
  Feed::Options options;
  std::vector<FeedPlace> places;
};

// Nothing, and the call has failed: it is none.
std::optional<FeedRequest> ReadRequest(PlainCall& call) {
  const std::uint32_t partition_count = call.services().engine.options().partition_count;
  FeedRequest request;
  std::size_t at = 1;
  for (; at < call.argument_count() && !IsWord(call.arg(at), "FROM"); ++at) {
    if (IsWord(call.arg(at), "VALUES")) {
      request.options.values = true;
    } else if (IsWord(call.arg(at), "PREFIX") && at + 1 < call.argument_count()) {
      request.options.prefix = call.arg(++at);
    } else {
      call.Fail(SyntaxError());
      return std::nullopt;
    }
  }
  if (at == call.argument_count()) {
    for (PartitionId partition = 0; partition < partition_count; ++partition) {
      request.places.push_back({partition, {}, {}});
    }
    return request;
  }
  for (++at; at < call.argument_count(); ++at) {
    const std::optional<FeedPlace> place = FeedPlace::Parse(call.arg(at), partition_count);
    if (!place) {
      call.Fail(ErrorCode::kInvalidArgument,
                "FROM takes places, PARTITION or PARTITION@TERM-NUMBER as this command and its "
                "messages say them, of partitions below " +
                    std::to_string(partition_count));
      return std::nullopt;
    }
    request.places.push_back(*place);
  }
  return request;
}

// The feed of this connection. Null, and the call has failed: there can be none.
Feed* FeedOf(PlainCall& call) {
  if (auto* const feed = dynamic_cast<Feed*>(call.session.push_source)) return feed;
  if (!call.services().replication.ordered.load(std::memory_order_relaxed)) {
    call.Fail(ErrorCode::kUnavailable,
              "there is no feed while nodes of an older release are on the ring: upgrade them");
    return nullptr;
  }
  std::unique_ptr<StreamReaders::Reader> reader = call.services().replication.readers.Join();
  if (reader == nullptr) {
    call.Fail(ErrorCode::kTooLarge,
              std::to_string(StreamReaders::kReadersMax) +
                  " connections read the feed of this node already: let some of them read once for "
                  "several users");
    return nullptr;
  }
  auto made = std::make_unique<Feed>(call.context(), std::move(reader), call.router.counters());
  Feed* const feed = made.get();
  std::shared_ptr<PushWaker> waker = call.responder.Subscribe(std::move(made));
  if (waker == nullptr) {
    call.Fail(ErrorCode::kNotAllowed,
              "this protocol cannot be sent to without a request: use the native one, or RESP");
    return nullptr;
  }
  feed->Start(std::move(waker));
  return feed;
}

// The reply is the places where the feed stands now; a partition that is not among them has another
// owner.
void RunFeed(PlainCall& call) {
  std::optional<FeedRequest> request = ReadRequest(call);
  if (!request) return;
  Feed* const feed = FeedOf(call);
  if (feed == nullptr) return;
  feed->set_options(std::move(request->options));
  std::vector<FeedPlace> begun;
  for (const FeedPlace& place : request->places) {
    if (const std::optional<FeedPlace> at = feed->Begin(place)) begun.push_back(*at);
  }
  feed->Wake();
  call.reply().BeginList(ListShape::kArray, begun.size());
  for (const FeedPlace& place : begun) call.reply().Bulk(place.ToString());
  call.reply().EndList();
}

void Unfeed(PlainCall& call) {
  call.responder.Subscribe(nullptr);
  call.reply().Word(Outcome::kOk);
}

constexpr Binding kBindings[] = {Bind("feed", RunFeed), Bind("unfeed", Unfeed)};

}  // namespace
}  // namespace feed_commands

std::span<const Binding> FeedCommands() { return feed_commands::kBindings; }

}  // namespace gyre
