#include "command/dispatcher.h"

#include <cstdio>
#include <optional>
#include <string>
#include <utility>

#include "command/command_keys.h"
#include "command/messages.h"
#include "command/plain_call.h"

namespace gyre {
namespace {

// How much of an unknown command and its arguments an error repeats, as Redis does.
constexpr std::size_t kShownBytesMax = 128;

Error UnknownCommand(const Request& request) {
  std::string message = "unknown command '";
  message += request.args.front().substr(0, kShownBytesMax);
  message += "', with args beginning with: ";
  std::string shown;
  for (std::size_t i = 1; i < request.args.size() && shown.size() < kShownBytesMax; ++i) {
    shown += "'";
    shown += request.args[i].substr(0, kShownBytesMax - shown.size());
    shown += "' ";
  }
  return {ErrorCode::kUnknownCommand, message + shown};
}

// Whether the command may come from where the request came: to anybody else it does not exist.
bool IsVisible(const Command& command, const Session& session) {
  if (session.protocol == Protocol::kNative) return true;
  if (command.Is(kNativeOnly) || command.Is(kInternal)) return false;
  return !command.Is(kHidden) || session.protocol == Protocol::kMemcached;
}

}  // namespace

Dispatcher::Dispatcher(const Services& services, const DispatcherOptions& options)
    : table_(CommandTable::Get()),
      peers_(services.peers),
      tallies_(table_.commands().size()),
      durations_(table_.commands().size()),
      router_(services, options, tallies_) {}

void Dispatcher::Handle(const Request& request, Session& session, Responder& responder) {
  const Lookahead::Entry* const lookahead = lookahead_.Take(request);
  if (request.kind == Request::Kind::kPeer) [[unlikely]] {
    TimeFor(nullptr);
    return HandlePeer(request, session, responder);
  }

  const Command* const command =
      lookahead != nullptr ? lookahead->command : table_.Find(request.args.front());
  if (!Admit(command, request, session, responder)) {
    if (command != nullptr) tallies_[command->index][&CommandCounts::rejected].Add(1);
    return;
  }
  session.last_command.store(&command->name, std::memory_order_relaxed);
  CommandTally& tally = tallies_[command->index];
  tally[&CommandCounts::calls].Add(1);
  TimeFor(&tally);

  bool failed = false;
  if (command->keyed != nullptr) [[likely]] {
    const Key* const key = lookahead != nullptr && lookahead->has_key ? &lookahead->key : nullptr;
    failed = router_.Run(*command, request, key, session, responder);
  } else {
    PlainCall call{*command, request, session, responder, router_};
    command->plain(call);
    failed = call.failed;
  }
  if (failed) [[unlikely]]
    tally[&CommandCounts::errors].Add(1);
}

void Dispatcher::TimeFor(CommandTally* tally) {
  if (tally == timed_) return;
  const TimePoint now = SteadyNow();
  if (timed_ != nullptr) {
    const Duration took = now - timed_since_;
    (*timed_)[&CommandCounts::nanoseconds].Add(static_cast<std::uint64_t>(took.count()));
    const std::uint64_t calls = (*timed_)[&CommandCounts::calls].value() - timed_from_;
    durations_[static_cast<std::size_t>(timed_ - tallies_.data())].Record(
        calls == 1 ? took : took / static_cast<std::int64_t>(calls), calls);
  }
  timed_ = tally;
  timed_since_ = now;
  if (tally != nullptr) timed_from_ = (*tally)[&CommandCounts::calls].value() - 1;
}

void Dispatcher::LookAhead(std::span<const Request> requests) {
  const Engine& engine = router_.context().services().engine;
  lookahead_.Clear();
  for (const Request& request : requests) {
    Lookahead::Entry entry{.request = &request};
    if (request.kind == Request::Kind::kCommand) {
      entry.command = table_.Find(request.args.front());
      if (const std::optional<Key> key = OnlyKey(engine, entry.command, request)) {
        entry.has_key = true;
        entry.key = *key;
      }
    }
    lookahead_.Add(entry);
  }
  router_.Prefetch(lookahead_);
}

bool Dispatcher::Admit(const Command* command, const Request& request, const Session& session,
                       Responder& responder) {
  if (command == nullptr || !IsVisible(*command, session)) [[unlikely]] {
    responder.writer().Fail(UnknownCommand(request));
    return false;
  }
  if (command->Is(kInternal) && !IsFromMember(session)) [[unlikely]] {
    responder.writer().Fail({ErrorCode::kUnavailable,
                             "this is a command between nodes of the cluster, and who gives it has "
                             "not proven to be one"});
    return false;
  }
  if (!command->AcceptsCount(request.args.size())) [[unlikely]] {
    responder.writer().Fail(WrongArgumentCount(command->name));
    return false;
  }
  if (session.database_refused && !command->Is(kAnyDatabase)) [[unlikely]] {
    responder.writer().Fail({ErrorCode::kNotAllowed,
                             "DB index is out of range: this connection selected a database that "
                             "is not there. There is number 0: SELECT 0"});
    return false;
  }
  if (request.waited && command->Is(kWrite)) [[unlikely]] {
    responder.writer().Fail({ErrorCode::kUnavailable,
                             "this node was stopped while the command waited for it; nothing was "
                             "written, try again"});
    return false;
  }
  return true;
}

bool Dispatcher::IsFromMember(const Session& session) {
  const ClusterView* const view = router_.context().view();
  return session.peer && view != nullptr && view->Find(*session.peer) != kNoMember;
}

void Dispatcher::HandlePeer(const Request& request, Session& session, Responder& responder) {
  peers_.Handle(request.payload, session.peer,
                [pending = responder.Defer()](const std::string& reply) mutable {
                  pending.FinishWith([&reply](ReplyWriter& writer) { writer.Peer(reply); });
                });
}

std::vector<CommandCounts> Dispatcher::command_stats() const {
  std::vector<CommandCounts> stats;
  stats.reserve(tallies_.size());
  for (const CommandTally& tally : tallies_) stats.push_back(tally.Read());
  return stats;
}

std::vector<CommandHistogram::Snapshot> Dispatcher::command_durations() const {
  std::vector<CommandHistogram::Snapshot> durations;
  durations.reserve(durations_.size());
  for (const CommandHistogram& one : durations_) durations.push_back(one.Read());
  return durations;
}

Fields CommandStatsFields(const std::vector<CommandCounts>& counts) {
  const std::span<const Command> commands = CommandTable::Get().commands();
  Fields fields;
  for (std::size_t i = 0; i < counts.size(); ++i) {
    const CommandCounts& one = counts[i];
    if (one.calls == 0 && one.rejected == 0) continue;
    const double micros = static_cast<double>(one.nanoseconds) / 1000;
    char text[192];
    std::snprintf(text, sizeof text,
                  "calls=%llu,usec=%.0f,usec_per_call=%.2f,rejected_calls=%llu,failed_calls=%llu",
                  static_cast<unsigned long long>(one.calls), micros,
                  one.calls == 0 ? 0 : micros / static_cast<double>(one.calls),
                  static_cast<unsigned long long>(one.rejected),
                  static_cast<unsigned long long>(one.errors));
    fields.emplace_back("cmdstat_" + std::string(commands[i].name), text);
  }
  return fields;
}

}  // namespace gyre
