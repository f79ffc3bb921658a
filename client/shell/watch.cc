#include "client/shell/watch.h"

#include <chrono>

#include "client/shell/interrupt.h"
#include "client/shell/words.h"

namespace gyre::client {
namespace {

using Clock = std::chrono::steady_clock;

// How soon Ctrl-C is seen.
constexpr std::chrono::milliseconds kLook{50};

const char* NameOf(FeedEvent::Kind kind) {
  switch (kind) {
    case FeedEvent::Kind::kSet:
      return "set";
    case FeedEvent::Kind::kRemove:
      return "remove";
    case FeedEvent::Kind::kFlush:
      return "flush";
    case FeedEvent::Kind::kGap:
      return "gap";
  }
  return "";
}

void SayCursor(const ShellContext& shell, const Feed& feed) {
  const std::string cursor = feed.cursor();
  if (shell.json) {
    shell.PrintJson({{"cursor", cursor}});
  } else {
    shell.out.flush();
    shell.err << "cursor " << cursor << "\n" << std::flush;
  }
}

}  // namespace

std::string EventLine(const FeedEvent& event) {
  std::string line = NameOf(event.kind);
  switch (event.kind) {
    case FeedEvent::Kind::kSet:
      line += ' ' + AsWord(event.key);
      if (!event.value.empty()) line += ' ' + AsWord(event.value);
      return line;
    case FeedEvent::Kind::kRemove:
      return line + ' ' + AsWord(event.key);
    case FeedEvent::Kind::kFlush:
      return line + " all keys of partition " + std::to_string(event.partition);
    case FeedEvent::Kind::kGap:
      return line + ": changes of partition " + std::to_string(event.partition) +
             " are missing here; read what you need of it anew";
  }
  return line;
}

Json EventJson(const FeedEvent& event, bool values) {
  Json json = {{"event", NameOf(event.kind)}, {"partition", event.partition}};
  if (event.kind == FeedEvent::Kind::kGap) return json;
  json["version"] = event.version;
  if (event.kind == FeedEvent::Kind::kFlush) return json;
  AddBytes(json, "key", event.key);
  if (event.kind == FeedEvent::Kind::kRemove || !values) return json;
  AddBytes(json, "value", event.value);
  json["flags"] = event.flags;
  json["expiry_ms"] = event.expiry_ms;
  return json;
}

int Watch(const ShellContext& shell, const WatchArguments& arguments) {
  const CatchInterrupts catch_interrupts(CatchInterrupts::Signals::kInterruptAndTerminate);
  Result<Feed> feed = shell.client.Watch(
      {.prefix = arguments.prefix, .cursor = arguments.from, .values = arguments.values});
  if (!feed) return shell.Report(feed.error());
  const auto every = std::chrono::duration_cast<Clock::duration>(
      std::chrono::duration<double>(arguments.cursor_every));
  Clock::time_point cursor_due = Clock::now() + every;
  std::uint64_t count = 0;
  while (!Interrupted() && (arguments.count == 0 || count < arguments.count)) {
    Result<std::optional<FeedEvent>> event = feed->Next(kLook);
    if (!event) {
      SayCursor(shell, *feed);
      return shell.Report(event.error());
    }
    if (*event) {
      ++count;
      shell.json ? shell.PrintJson(EventJson(**event, arguments.values))
                 : void(shell.out << EventLine(**event) << "\n");
    } else {
      shell.out.flush();
    }
    if (!shell.out) return kExitRefused;  // nobody reads it any more
    if (arguments.cursor_every > 0 && Clock::now() >= cursor_due) {
      cursor_due = Clock::now() + every;
      SayCursor(shell, *feed);
    }
  }
  SayCursor(shell, *feed);
  return kExitDone;
}

}  // namespace gyre::client
