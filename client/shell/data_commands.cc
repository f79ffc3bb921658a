// Commands about keys: get, set, del, ...
//
// Where Redis's command of the name takes more words than these need (SET k v EX 10, EXPIRE k 9 NX),
// the line goes to the cluster as it is (cluster_reply.h).
#include <charconv>
#include <chrono>
#include <limits>

#include "client/shell/cluster_reply.h"
#include "client/shell/command_line.h"
#include "client/shell/words.h"

namespace gyre::client {
namespace {

Json RecordJson(const std::string& key, const std::optional<Record>& record) {
  Json json = Json::object();
  AddBytes(json, "key", key);
  if (!record) {
    json["value"] = nullptr;
    return json;
  }
  AddBytes(json, "value", record->value);
  json["flags"] = record->flags;
  json["version"] = record->version;
  return json;
}

// Says whether something was done; `word` is the JSON member.
int SayDone(const ShellContext& shell, const Result<bool>& done, const char* word, const char* no) {
  if (!done) return shell.Report(done.error());
  if (shell.json) {
    shell.PrintJson({{word, *done}});
  } else {
    shell.out << (*done ? "OK" : no) << "\n";
  }
  return *done ? kExitDone : kExitRefused;
}

int SayInteger(const ShellContext& shell, const Result<std::int64_t>& value) {
  if (!value) return shell.Report(value.error());
  if (shell.json) {
    shell.PrintJson({{"value", *value}});
  } else {
    shell.PrintBytes(std::to_string(*value));
  }
  return kExitDone;
}

// How many of them; 0 is "not found".
int SayCount(const ShellContext& shell, const std::vector<Result<bool>>& results,
             const char* word) {
  int count = 0;
  for (const Result<bool>& result : results) {
    if (!result) return shell.Report(result.error());
    count += *result ? 1 : 0;
  }
  if (shell.json) {
    shell.PrintJson({{word, count}});
  } else {
    shell.out << count << "\n";
  }
  return count > 0 ? kExitDone : kExitRefused;
}

// ---- get, mget ---------------------------------------------------------------------------------

int Get(const ShellContext& shell, const Arguments& arguments) {
  const std::string& key = arguments.words[0];
  const auto record = shell.client.Get(key, shell.call);
  if (!record) return shell.Report(record.error());
  if (shell.json) {
    shell.PrintJson(RecordJson(key, *record));
    return *record ? kExitDone : kExitRefused;
  }
  if (!*record) return shell.Miss();
  shell.PrintBytes((*record)->value);
  return kExitDone;
}

int MGet(const ShellContext& shell, const Arguments& arguments) {
  const std::vector<std::string>& keys = arguments.words;
  const auto records = shell.client.MGet(keys, shell.call);
  Json array = Json::array();
  int status = kExitDone;
  bool any = false;
  for (std::size_t i = 0; i < records.size(); ++i) {
    if (!records[i]) {
      status = shell.Report(records[i].error());
      continue;
    }
    const std::optional<Record>& record = *records[i];
    any = any || record.has_value();
    if (shell.json) {
      array.push_back(RecordJson(keys[i], record));
      continue;
    }
    shell.out << (shell.terminal ? Readable(keys[i]) : keys[i]) << "\t";
    record ? shell.PrintBytes(record->value) : void(shell.out << "(nil)\n");
  }
  if (shell.json) shell.PrintJson(array);
  return status == kExitDone && !any ? kExitRefused : status;
}

// ---- set, mset ---------------------------------------------------------------------------------

struct SetArguments : Arguments {
  std::string ttl;
  bool if_absent = false;
  bool if_present = false;
  std::optional<std::uint64_t> if_version;
  std::uint32_t flags = 0;

  bool has_options() const {
    return !ttl.empty() || if_absent || if_present || if_version || flags != 0;
  }
};

// "10", "1.5" seconds; "100ms", "10s", "5m", "2h", "7d".
std::optional<Milliseconds> ParseTtl(const std::string& text) {
  double number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc() || !(number > 0)) return std::nullopt;
  const std::string_view unit(end, static_cast<std::size_t>(text.data() + text.size() - end));
  const double factor = unit == "ms"                  ? 1
                        : unit.empty() || unit == "s" ? 1e3
                        : unit == "m"                 ? 60e3
                        : unit == "h"                 ? 3600e3
                        : unit == "d"                 ? 86400e3
                                                      : 0;
  constexpr double kYears = 1000.0 * 365 * 86400e3;
  const double ms = number * factor;
  if (ms < 1 || ms > kYears) return std::nullopt;
  return Milliseconds{static_cast<std::int64_t>(ms)};
}

// For CLI11: empty if it is fine.
std::string CheckTtl(const std::string& text) {
  return ParseTtl(text) ? "" : "'" + text + "' is no time: write 10, 1.5, 100ms, 10s, 5m, 2h or 7d";
}

void DeclareSet(CLI::App& command, SetArguments& arguments) {
  command.add_option("--ttl", arguments.ttl, "Time to live: 10 (seconds), 100ms, 10s, 5m, 2h, 7d")
      ->check(CheckTtl);
  auto* absent = command.add_flag("--nx", arguments.if_absent, "Only if the key does not exist");
  auto* present = command.add_flag("--xx", arguments.if_present, "Only if the key exists");
  auto* version = command.add_option("--if-version", arguments.if_version,
                                     "Only if its version is this (see: get -o json)");
  absent->excludes(present)->excludes(version);
  present->excludes(version);
  command.add_option("--flags", arguments.flags, "Opaque number kept with the value");
}

std::string CheckSet(SetArguments& arguments) {
  if (arguments.words.size() == 2 || !arguments.has_options()) return "";
  return "behind the value come either Redis's words (EX 10 NX) or --options, not both";
}

int Set(const ShellContext& shell, const SetArguments& arguments) {
  const std::vector<std::string>& words = arguments.words;
  if (words.size() > 2) return RunOnCluster(shell, "SET", words);
  SetOptions set;
  if (!arguments.ttl.empty()) set.ttl = *ParseTtl(arguments.ttl);
  if (arguments.if_absent) set.condition = SetOptions::Condition::kIfAbsent;
  if (arguments.if_present) set.condition = SetOptions::Condition::kIfPresent;
  set.flags = arguments.flags;
  const Result<bool> stored =
      arguments.if_version
          ? shell.client.CompareAndSet(words[0], words[1], *arguments.if_version, set, shell.call)
          : shell.client.Set(words[0], words[1], set, shell.call);
  return SayDone(shell, stored, "stored", "not stored: the condition is not met");
}

std::string CheckMSet(Arguments& arguments) {
  return arguments.words.size() % 2 == 0 ? "" : "mset: a key without a value";
}

int MSet(const ShellContext& shell, const Arguments& arguments) {
  std::vector<KeyValue> entries;
  for (std::size_t i = 0; i + 1 < arguments.words.size(); i += 2) {
    entries.push_back({arguments.words[i], arguments.words[i + 1]});
  }
  return SayCount(shell, shell.client.MSet(entries, {}, shell.call), "stored");
}

// ---- Numbers -----------------------------------------------------------------------------------

struct DeltaArguments : Arguments {
  std::int64_t delta = 1;
};

std::optional<std::int64_t> ParseInteger(const std::string& text) {
  std::int64_t number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return number;
}

std::string CheckDelta(DeltaArguments& arguments) {
  if (arguments.words.size() < 2) return "";
  const std::optional<std::int64_t> delta = ParseInteger(arguments.words[1]);
  // Its negation must be one, too.
  if (!delta || *delta == std::numeric_limits<std::int64_t>::min()) {
    return "'" + arguments.words[1] + "' is not an integer of 64 bits";
  }
  arguments.delta = *delta;
  return "";
}

void AddNumberCommands(CommandLine& line) {
  line.Add<DeltaArguments>(
      {"incr", "KEY [DELTA]", "Adds to a number, 1 unless said otherwise"}, nullptr,
      [](const ShellContext& shell, const DeltaArguments& arguments) {
        return SayInteger(shell,
                          shell.client.Incr(arguments.words[0], arguments.delta, shell.call));
      },
      CheckDelta);
  line.Add<DeltaArguments>(
      {"decr", "KEY [DELTA]", "Subtracts from a number, 1 unless said otherwise"}, nullptr,
      [](const ShellContext& shell, const DeltaArguments& arguments) {
        return SayInteger(shell,
                          shell.client.Incr(arguments.words[0], -arguments.delta, shell.call));
      },
      CheckDelta);
  line.Add<Arguments>(
      {"append", "KEY VALUE", "Appends to a value; prints its new length"}, nullptr,
      [](const ShellContext& shell, const Arguments& arguments) {
        return SayInteger(shell,
                          shell.client.Append(arguments.words[0], arguments.words[1], shell.call));
      });
  line.Add<Arguments>({"strlen", "KEY", "Prints the length of a value"}, nullptr,
                      [](const ShellContext& shell, const Arguments& arguments) {
                        return SayInteger(shell,
                                          shell.client.Strlen(arguments.words[0], shell.call));
                      });
}

// ---- Expiry ------------------------------------------------------------------------------------

int Ttl(const ShellContext& shell, const Arguments& arguments) {
  const Result<TimeToLive> ttl = shell.client.Ttl(arguments.words[0], shell.call);
  if (!ttl) return shell.Report(ttl.error());
  if (shell.json) {
    Json json = {{"exists", ttl->exists}};
    json["ttl_ms"] = ttl->left ? Json(ttl->left->count()) : Json(nullptr);
    shell.PrintJson(json);
    return ttl->exists ? kExitDone : kExitRefused;
  }
  if (!ttl->exists) return shell.Miss();
  shell.PrintBytes(ttl->left
                       ? std::to_string(std::chrono::ceil<std::chrono::seconds>(*ttl->left).count())
                       : "never");
  return kExitDone;
}

// Redis's own way to say it: seconds, perhaps none or less, perhaps with a condition.
bool IsRedisExpire(const std::vector<std::string>& words) {
  const std::optional<std::int64_t> seconds = ParseInteger(words[1]);
  return words.size() > 2 || (seconds && *seconds <= 0);
}

std::string CheckExpire(Arguments& arguments) {
  return IsRedisExpire(arguments.words) ? "" : CheckTtl(arguments.words[1]);
}

int Expire(const ShellContext& shell, const Arguments& arguments) {
  const std::vector<std::string>& words = arguments.words;
  if (IsRedisExpire(words)) return RunOnCluster(shell, "EXPIRE", words);
  return SayDone(shell, shell.client.Expire(words[0], *ParseTtl(words[1]), shell.call), "expires",
                 "(nil)");
}

void AddExpiryCommands(CommandLine& line) {
  line.Add<Arguments>({"ttl", "KEY", "Prints the seconds until a key expires"}, nullptr, Ttl);
  line.Add<Arguments>({"expire", "KEY TTL [NX|XX|GT|LT]",
                       "Sets the time to live of a key: 10 (seconds), 100ms, 10s, 5m, 2h, 7d"},
                      nullptr, Expire, CheckExpire);
  line.Add<Arguments>({"persist", "KEY", "Removes the expiry of a key"}, nullptr,
                      [](const ShellContext& shell, const Arguments& arguments) {
                        return SayDone(shell, shell.client.Persist(arguments.words[0], shell.call),
                                       "persisted", "no such key, or it had no expiry");
                      });
}

// One request for each key.
template <Result<bool> (Client::*Method)(std::string_view, const CallOptions&)>
std::function<int(const ShellContext&, const Arguments&)> CountOf(const char* word) {
  return [word](const ShellContext& shell, const Arguments& arguments) {
    std::vector<Result<bool>> results;
    for (const std::string& key : arguments.words) {
      results.push_back((shell.client.*Method)(key, shell.call));
    }
    return SayCount(shell, results, word);
  };
}

}  // namespace

void AddDataCommands(CommandLine& line) {
  line.Add<Arguments>({"get", "KEY", "Prints a value"}, nullptr, Get);
  line.Add<SetArguments>(
      {"set", "KEY VALUE [EX seconds|PX ms|KEEPTTL] [NX|XX] [GET ...]",
       "Stores a value; conditions and expiry as --options or as Redis has them"},
      DeclareSet, Set, CheckSet);
  line.Add<Arguments>({"del", "KEY ...", "Removes keys; prints how many there were"}, nullptr,
                      [](const ShellContext& shell, const Arguments& arguments) {
                        return SayCount(shell, shell.client.MDel(arguments.words, shell.call),
                                        "deleted");
                      });
  line.Add<Arguments>({"mget", "KEY ...", "Prints several values"}, nullptr, MGet);
  line.Add<Arguments>({"mset", "KEY VALUE ...", "Stores several values"}, nullptr, MSet, CheckMSet);
  AddNumberCommands(line);
  AddExpiryCommands(line);
  line.Add<Arguments>({"exists", "KEY ...", "Counts which of the keys exist"}, nullptr,
                      CountOf<&Client::Exists>("exists"));
  line.Add<Arguments>({"touch", "KEY ...", "Marks keys as used"}, nullptr,
                      CountOf<&Client::Touch>("touched"));
}

}  // namespace gyre::client
