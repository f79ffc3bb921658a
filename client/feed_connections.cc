#include "client/feed_connections.h"

#include <netdb.h>
#include <pthread.h>
#include <uv.h>

#include <algorithm>
#include <csignal>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "client/feed_cursor.h"
#include "client/feed_progress.h"
#include "client/fork_count.h"
#include "client/frame_connection.h"
#include "client/wire.h"

namespace gyre::client {
namespace {

using TimePoint = std::chrono::steady_clock::time_point;
using std::chrono::milliseconds;

// How often it looks what is not read, and whether the ring has changed.
constexpr milliseconds kArrangeEvery{50};
// How often the ring is fetched while some partition is not read, and while all are.
constexpr milliseconds kRefreshEvery{200};
constexpr milliseconds kRefreshAtLeastEvery{2000};
// Until a node that could not be reached is tried again.
constexpr milliseconds kReconnectAfter{100};
// How often each node is asked for what the owner of a partition lacks.
constexpr std::uint32_t kDetourRounds = 3;

// A write to a connection that the node has reset must not end the program.
class SigpipeBlocked {
 public:
  SigpipeBlocked() {
    sigset_t pending;
    sigpending(&pending);
    was_pending_ = sigismember(&pending, SIGPIPE) == 1;
    sigemptyset(&pipe_);
    sigaddset(&pipe_, SIGPIPE);
    pthread_sigmask(SIG_BLOCK, &pipe_, &before_);
  }
  ~SigpipeBlocked() {
    const timespec now{};
    if (!was_pending_) sigtimedwait(&pipe_, nullptr, &now);
    pthread_sigmask(SIG_SETMASK, &before_, nullptr);
  }
  SigpipeBlocked(const SigpipeBlocked&) = delete;
  SigpipeBlocked& operator=(const SigpipeBlocked&) = delete;

 private:
  sigset_t pipe_{};
  sigset_t before_{};
  bool was_pending_ = false;
};

// The first address of a host. A name is looked up in the caller's thread, which waits here anyway.
std::optional<sockaddr_storage> LookUp(const NodeAddress& address) {
  sockaddr_storage found{};
  const char* host = address.host.c_str();
  if (uv_ip4_addr(host, address.port, reinterpret_cast<sockaddr_in*>(&found)) == 0 ||
      uv_ip6_addr(host, address.port, reinterpret_cast<sockaddr_in6*>(&found)) == 0) {
    return found;
  }
  addrinfo hints{};
  hints.ai_socktype = SOCK_STREAM;
  addrinfo* first = nullptr;
  const std::string port = std::to_string(address.port);
  if (getaddrinfo(host, port.c_str(), &hints, &first) != 0) return std::nullopt;
  std::copy_n(reinterpret_cast<const char*>(first->ai_addr), first->ai_addrlen,
              reinterpret_cast<char*>(&found));
  freeaddrinfo(first);
  return found;
}

}  // namespace

class Feed::Impl {
 public:
  Impl(FeedOptions options, FeedRing ring, FeedCursor begin);
  ~Impl();

  // Nothing: each partition is read.
  std::optional<Error> Open();
  Result<std::optional<FeedEvent>> Next(milliseconds most);
  const FeedProgress& progress() const { return progress_; }

 private:
  // To one node; gone with its connection.
  class NodeLink;

  // Runs the loop until `done`, or for so long; at least a turn.
  void Run(milliseconds most, const std::function<bool()>& done);
  void Arrange();
  NodeIndex NodeToAsk(const RoutingTable& table, std::uint32_t partition);
  NodeLink* LinkTo(const NodeAddress& address, TimePoint now);
  void Drop(NodeLink& link, const Error& error, bool is_final);

  const FeedOptions options_;
  const FeedRing ring_;
  const std::uint32_t fork_count_ = ForkCount();
  FeedProgress progress_;
  std::optional<Error> failure_;  // final
  std::string last_failure_;      // of a node

  uv_loop_t loop_{};
  uv_timer_t tick_{};
  uv_timer_t end_{};  // of the Run under way
  TimePoint refreshed_at_{};
  FeedProgress::Source next_source_ = 1;
  std::map<std::string, std::unique_ptr<NodeLink>> links_;  // by the node's address
  std::map<std::string, TimePoint> not_before_;             // of nodes that could not be reached
};

class Feed::Impl::NodeLink final : private FrameConnection::Owner {
 public:
  NodeLink(Impl& feed, std::string node, FeedProgress::Source source)
      : node(std::move(node)), source(source), feed_(feed) {}
  ~NodeLink() {
    if (connection_ != nullptr) connection_->Abandon();
  }
  NodeLink(const NodeLink&) = delete;
  NodeLink& operator=(const NodeLink&) = delete;

  void Connect(const sockaddr_storage& address) {
    connection_ = FrameConnection::Open(&feed_.loop_, reinterpret_cast<const sockaddr*>(&address),
                                        feed_.ring_.connect_timeout, *this);
  }
  // Asks for these partitions.
  void Ask(std::vector<std::uint32_t> partitions) {
    std::vector<std::string> words{"FEED"};
    if (!feed_.options_.prefix.empty()) {
      words.insert(words.end(), {"PREFIX", feed_.options_.prefix});
    }
    if (feed_.options_.values) words.emplace_back("VALUES");
    words.emplace_back("FROM");
    for (const std::uint32_t partition : partitions) {
      words.push_back(feed_.progress_.Ask(partition, source));
    }
    const Result<std::string> request =
        EncodeRequest(std::vector<std::string_view>(words.begin(), words.end()), 0);
    AppendRequestFrame(next_id_, *request, 0, out_);
    asked_.emplace(next_id_++, std::move(partitions));
    Flush();
  }

  const std::string node;
  const FeedProgress::Source source;
  bool is_dropped = false;  // its loop's callback has not returned yet

 private:
  void Flush() {
    if (connection_ == nullptr || !connection_->connected() || connection_->writing()) return;
    if (!out_.empty()) connection_->Write(out_);
  }
  void OnConnected() override { Flush(); }
  void OnBytes() override {}
  bool OnReply(std::uint64_t request_id, std::string_view payload) override {
    const auto asked = asked_.find(request_id);
    Result<DecodedReply> reply = DecodeReply(payload);
    if (asked == asked_.end() || !reply) return false;
    const std::vector<std::uint32_t> partitions = std::move(asked->second);
    asked_.erase(asked);
    if (reply->value.kind == Value::Kind::kError) {
      feed_.Drop(*this, {reply->value.error, node + ": " + reply->value.text}, false);
      return true;
    }
    return Check(feed_.progress_.OnReply(source, partitions, reply->value));
  }
  bool OnPush(std::uint64_t, std::string_view payload) override {
    if (is_dropped) return true;
    Result<DecodedReply> message = DecodeReply(payload);
    return message.ok() && Check(feed_.progress_.OnPush(source, std::move(message->value)));
  }
  bool Check(const std::optional<Error>& error) {
    if (error) feed_.Drop(*this, *error, true);
    return true;
  }
  void OnReadEnd() override {}
  void OnWritten() override { Flush(); }
  void OnClosed(const Error& error) override {
    connection_ = nullptr;
    feed_.Drop(*this, {error.code, node + ": " + error.message}, false);
  }

  Impl& feed_;
  FrameConnection* connection_ = nullptr;
  ByteQueue<> out_;
  std::uint64_t next_id_ = 1;
  std::map<std::uint64_t, std::vector<std::uint32_t>> asked_;  // by the request's id
};

Feed::Impl::Impl(FeedOptions options, FeedRing ring, FeedCursor begin)
    : options_(std::move(options)),
      ring_(std::move(ring)),
      progress_(std::move(begin), options_.values) {
  uv_loop_init(&loop_);
  for (uv_timer_t* timer : {&tick_, &end_}) {
    uv_timer_init(&loop_, timer);
    timer->data = this;
  }
  uv_timer_start(
      &tick_, [](uv_timer_t* timer) { static_cast<Impl*>(timer->data)->Arrange(); }, 0,
      kArrangeEvery.count());
}

Feed::Impl::~Impl() {
  if (fork_count_ != ForkCount()) {
    // The loop's files are the parent's, too: closing them here would end its connections.
    for (auto& [node, link] : links_) (void)link.release();
    return;
  }
  const SigpipeBlocked blocked;
  links_.clear();
  for (uv_timer_t* timer : {&tick_, &end_}) {
    uv_close(reinterpret_cast<uv_handle_t*>(timer), nullptr);
  }
  uv_run(&loop_, UV_RUN_DEFAULT);
  uv_loop_close(&loop_);
}

void Feed::Impl::Drop(NodeLink& link, const Error& error, bool is_final) {
  if (std::exchange(link.is_dropped, true)) return;
  progress_.OnLost(link.source);
  last_failure_ = error.message;
  not_before_[link.node] = std::chrono::steady_clock::now() + kReconnectAfter;
  refreshed_at_ = {};
  if (is_final && !failure_) failure_ = error;
}

Feed::Impl::NodeLink* Feed::Impl::LinkTo(const NodeAddress& address, TimePoint now) {
  const std::string node = address.ToString();
  if (const auto found = links_.find(node); found != links_.end()) return found->second.get();
  if (const auto wait = not_before_.find(node); wait != not_before_.end() && now < wait->second) {
    return nullptr;
  }
  not_before_.erase(node);
  const std::optional<sockaddr_storage> where = LookUp(address);
  if (!where) {
    last_failure_ = "the name of " + node + " is not known here";
    not_before_[node] = now + kReconnectAfter;
    return nullptr;
  }
  auto& link = links_[node] = std::make_unique<NodeLink>(*this, node, next_source_++);
  link->Connect(*where);
  return link.get();
}

// Asks owners for what nobody sends, and for what another node owns by now.
void Feed::Impl::Arrange() {
  if (!failure_) failure_ = ring_.unusable();
  std::erase_if(links_, [](const auto& entry) { return entry.second->is_dropped; });
  const TimePoint now = std::chrono::steady_clock::now();
  const std::shared_ptr<const RoutingTable> table = ring_.table();
  if (failure_ || table->partition_count() != progress_.partition_count()) return;
  std::vector<std::vector<std::uint32_t>> wanted(table->nodes().size());
  bool all = true;
  for (std::uint32_t partition = 0; partition < progress_.partition_count(); ++partition) {
    const NodeIndex node = NodeToAsk(*table, partition);
    if (node != kNoNode) wanted[node].push_back(partition);
    all = all && !progress_.is_idle(partition);
  }
  for (std::size_t i = 0; i < wanted.size(); ++i) {
    if (wanted[i].empty()) continue;
    NodeLink* const link = LinkTo(table->nodes()[i].address, now);
    if (link == nullptr) {
      // As long as it cannot be reached, whoever sends its partitions may go on.
      for (const std::uint32_t partition : wanted[i]) {
        if (progress_.is_on_detour(partition)) progress_.FailDetour(partition);
      }
      continue;
    }
    std::erase_if(wanted[i], [&](std::uint32_t partition) {
      return !progress_.is_idle(partition) && progress_.source(partition) == link->source;
    });
    if (!wanted[i].empty()) link->Ask(std::move(wanted[i]));
  }
  if (now - refreshed_at_ < (all ? kRefreshAtLeastEvery : kRefreshEvery)) return;
  refreshed_at_ = now;
  ring_.refresh();
}

// The owner; on a detour each node in turn, since who owns is what has just changed, and more than once,
// since a connection may have broken just now.
NodeIndex Feed::Impl::NodeToAsk(const RoutingTable& table, std::uint32_t partition) {
  const NodeIndex owner = table.Owner(static_cast<PartitionId>(partition));
  if (!progress_.is_on_detour(partition)) return owner;
  if (!progress_.is_idle(partition)) return kNoNode;
  const auto count = static_cast<std::uint32_t>(table.nodes().size());
  const std::uint32_t failed = progress_.detours_failed(partition);
  if (count > 1 && failed < kDetourRounds * count) return static_cast<NodeIndex>(failed % count);
  progress_.TellGap(partition);
  return owner;
}

void Feed::Impl::Run(milliseconds most, const std::function<bool()>& done) {
  const SigpipeBlocked blocked;
  uv_update_time(&loop_);
  uv_timer_start(
      &end_, [](uv_timer_t*) {},
      static_cast<std::uint64_t>(std::max(most, milliseconds{0}).count()), 0);
  do {
    uv_run(&loop_, UV_RUN_ONCE);
  } while (!failure_ && !done() && uv_is_active(reinterpret_cast<uv_handle_t*>(&end_)) != 0);
  uv_timer_stop(&end_);
}

std::optional<Error> Feed::Impl::Open() {
  const auto begun = [this] {
    return progress_.begun() && progress_.read_count() == progress_.partition_count();
  };
  Run(options_.open_within, begun);
  if (failure_ || begun()) return failure_;
  return Error{ErrorCode::kUnavailable,
               "only " + std::to_string(progress_.read_count()) + " of " +
                   std::to_string(progress_.partition_count()) + " partitions can be read" +
                   (last_failure_.empty() ? "" : "; last: " + last_failure_) +
                   "; see `gyre status`"};
}

Result<std::optional<FeedEvent>> Feed::Impl::Next(milliseconds most) {
  if (!progress_.has_event()) {
    if (!failure_) failure_ = ring_.unusable();
    if (!failure_) Run(most, [this] { return progress_.has_event(); });
  }
  if (progress_.has_event()) return std::optional(progress_.Take());
  if (failure_) return *failure_;
  return std::optional<FeedEvent>();
}

// ---- The public face --------------------------------------------------------------------------

Result<Feed> OpenFeed(const FeedOptions& options, FeedRing ring) {
  const std::uint32_t partition_count = ring.table()->partition_count();
  FeedCursor begin(partition_count);
  if (!options.cursor.empty()) {
    Result<FeedCursor> cursor = DecodeCursor(options.cursor);
    if (!cursor) return cursor.error();
    if (cursor->size() != partition_count) {
      return Error{ErrorCode::kInvalidArgument,
                   "this cursor is of a cluster of " + std::to_string(cursor->size()) +
                       " partitions, and this one has " + std::to_string(partition_count)};
    }
    begin = std::move(*cursor);
  }
  auto impl = std::make_unique<Feed::Impl>(options, std::move(ring), std::move(begin));
  if (auto error = impl->Open()) return *error;
  return Feed(std::move(impl));
}

Feed::Feed(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Feed::Feed(Feed&&) noexcept = default;
Feed& Feed::operator=(Feed&&) noexcept = default;
Feed::~Feed() = default;

Result<std::optional<FeedEvent>> Feed::Next(milliseconds most) { return impl_->Next(most); }
std::string Feed::cursor() const { return EncodeCursor(impl_->progress().cursor()); }
std::uint32_t Feed::partitions_read() const { return impl_->progress().read_count(); }
std::uint32_t Feed::partition_count() const { return impl_->progress().partition_count(); }

}  // namespace gyre::client
