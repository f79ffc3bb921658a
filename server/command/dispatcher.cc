#include "command/dispatcher.h"

#include <optional>
#include <string>
#include <utility>

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

// One loop writes, others read: no need for an atomic addition.
void Increment(std::atomic<std::uint64_t>& counter) {
  counter.store(counter.load(std::memory_order_relaxed) + 1, std::memory_order_relaxed);
}

bool IsVisible(const Command& command, Protocol protocol) {
  if (protocol == Protocol::kNative) return true;
  if (command.Is(kInternal)) return false;
  return !command.Is(kHidden) || protocol == Protocol::kMemcached;
}

}  // namespace

Dispatcher::Dispatcher(const Services& services, const DispatcherOptions& options)
    : table_(CommandTable::Get()),
      peers_(services.peers),
      router_(services, options),
      counters_(table_.commands().size()) {}

void Dispatcher::Handle(const Request& request, Session& session, Responder& responder) {
  const Foreseen::Entry* const foreseen = foreseen_.Take(request);
  if (request.kind == Request::Kind::kPeer) [[unlikely]]
    return HandlePeer(request, responder);

  const Command* const command =
      foreseen != nullptr ? foreseen->command : table_.Find(request.args.front());
  if (!Admit(command, request, session, responder)) return;
  Counters& counters = counters_[command->index];
  Increment(counters.calls);

  bool failed = false;
  if (command->keyed != nullptr) [[likely]] {
    const Key* const key = foreseen != nullptr && foreseen->has_key ? &foreseen->key : nullptr;
    failed = router_.Route(*command, request, key, session, responder);
  } else {
    PlainCall call{*command, request, session, responder, router_};
    command->plain(call);
    failed = call.failed;
  }
  if (failed) [[unlikely]]
    Increment(counters.errors);
}

void Dispatcher::Foresee(std::span<const Request> requests) {
  foreseen_.Clear();
  for (const Request& request : requests) {
    Foreseen::Entry entry{.request = &request};
    if (request.kind == Request::Kind::kCommand) {
      entry.command = table_.Find(request.args.front());
      if (const std::optional<Key> key = router_.OnlyKey(entry.command, request)) {
        entry.has_key = true;
        entry.key = *key;
      }
    }
    foreseen_.Add(entry);
  }
  router_.Prefetch(foreseen_);
}

bool Dispatcher::Admit(const Command* command, const Request& request, const Session& session,
                       Responder& responder) {
  if (command == nullptr || !IsVisible(*command, session.protocol)) [[unlikely]] {
    responder.writer().Fail(UnknownCommand(request));
    return false;
  }
  if (!command->AcceptsCount(request.args.size())) [[unlikely]] {
    responder.writer().Fail(WrongArgumentCount(command->name));
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

void Dispatcher::HandlePeer(const Request& request, Responder& responder) {
  peers_.Handle(request.payload, [pending = responder.Defer()](const std::string& reply) mutable {
    pending.writer().Peer(reply);
    pending.Finish();
  });
}

std::vector<CommandCounts> Dispatcher::command_stats() const {
  std::vector<CommandCounts> stats;
  stats.reserve(counters_.size());
  for (const Counters& counters : counters_) {
    stats.push_back({counters.calls.load(std::memory_order_relaxed),
                     counters.errors.load(std::memory_order_relaxed)});
  }
  return stats;
}

void Dispatcher::ResetStats() {
  // A command that is counted at the same moment may keep its old count: no harm.
  for (Counters& counters : counters_) {
    counters.calls.store(0, std::memory_order_relaxed);
    counters.errors.store(0, std::memory_order_relaxed);
  }
}

Admin::Fields CommandStatsFields(const std::vector<const Dispatcher*>& dispatchers) {
  const std::span<const Command> commands = CommandTable::Get().commands();
  std::vector<CommandCounts> sums(commands.size());
  for (const Dispatcher* dispatcher : dispatchers) {
    const std::vector<CommandCounts> stats = dispatcher->command_stats();
    for (std::size_t i = 0; i < sums.size(); ++i) {
      sums[i].calls += stats[i].calls;
      sums[i].errors += stats[i].errors;
    }
  }
  Admin::Fields fields;
  for (std::size_t i = 0; i < sums.size(); ++i) {
    if (sums[i].calls == 0) continue;
    fields.emplace_back("cmdstat_" + std::string(commands[i].name),
                        "calls=" + std::to_string(sums[i].calls) +
                            ",failed_calls=" + std::to_string(sums[i].errors));
  }
  return fields;
}

}  // namespace gyre
