// One-shot commands about keys: get, set, del, ...
#include <charconv>
#include <chrono>

#include "client/shell/command_line.h"
#include "client/shell/words.h"

namespace gyre::client {
namespace {

struct KeyArguments {
  std::string key;
};
struct KeysArguments {
  std::vector<std::string> keys;
};

void DeclareKey(CLI::App& command, KeyArguments& arguments) {
  command.add_option("key", arguments.key)->required();
}
void DeclareKeys(CLI::App& command, KeysArguments& arguments) {
  command.add_option("keys", arguments.keys)->required();
}

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
int SayDone(const Session& session, const Result<bool>& done, const char* word, const char* no) {
  if (!done) return session.Report(done.error());
  if (session.json) {
    session.PrintJson({{word, *done}});
  } else {
    session.out << (*done ? "OK" : no) << "\n";
  }
  return *done ? kExitDone : kExitRefused;
}

int SayInteger(const Session& session, const Result<std::int64_t>& value) {
  if (!value) return session.Report(value.error());
  if (session.json) {
    session.PrintJson({{"value", *value}});
  } else {
    session.out << *value << "\n";
  }
  return kExitDone;
}

// How many of them; 0 is "not found".
int SayCount(const Session& session, const std::vector<Result<bool>>& results, const char* word) {
  int count = 0;
  for (const Result<bool>& result : results) {
    if (!result) return session.Report(result.error());
    count += *result ? 1 : 0;
  }
  if (session.json) {
    session.PrintJson({{word, count}});
  } else {
    session.out << count << "\n";
  }
  return count > 0 ? kExitDone : kExitRefused;
}

// ---- get, mget ---------------------------------------------------------------------------------

struct GetArguments : KeyArguments {
  bool raw = false;
};

int Get(const Session& session, const GetArguments& arguments) {
  const auto record = session.client.Get(arguments.key);
  if (!record) return session.Report(record.error());
  if (session.json) {
    session.PrintJson(RecordJson(arguments.key, *record));
  } else if (*record) {
    session.out << (*record)->value << (arguments.raw ? "" : "\n");
  } else {
    session.err << "(nil)\n";
  }
  return *record ? kExitDone : kExitRefused;
}

int MGet(const Session& session, const KeysArguments& arguments) {
  const auto records = session.client.MGet(arguments.keys);
  Json array = Json::array();
  int status = kExitDone;
  bool any = false;
  for (std::size_t i = 0; i < records.size(); ++i) {
    if (!records[i]) {
      status = session.Report(records[i].error());
      continue;
    }
    const std::optional<Record>& record = *records[i];
    any = any || record.has_value();
    if (session.json) {
      array.push_back(RecordJson(arguments.keys[i], record));
    } else {
      session.out << arguments.keys[i] << "\t" << (record ? record->value : "(nil)") << "\n";
    }
  }
  if (session.json) session.PrintJson(array);
  return status == kExitDone && !any ? kExitRefused : status;
}

// ---- set, mset ---------------------------------------------------------------------------------

struct SetArguments : KeyArguments {
  std::string value;
  std::string ttl;
  bool if_absent = false;
  bool if_present = false;
  std::optional<std::uint64_t> if_version;
  std::uint32_t flags = 0;
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
  command.add_option("key", arguments.key)->required();
  command.add_option("value", arguments.value)->required();
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

int Set(const Session& session, const SetArguments& arguments) {
  SetOptions set;
  if (!arguments.ttl.empty()) set.ttl = *ParseTtl(arguments.ttl);
  if (arguments.if_absent) set.condition = SetOptions::Condition::kIfAbsent;
  if (arguments.if_present) set.condition = SetOptions::Condition::kIfPresent;
  set.flags = arguments.flags;
  const Result<bool> stored =
      arguments.if_version
          ? session.client.CompareAndSet(arguments.key, arguments.value, *arguments.if_version, set)
          : session.client.Set(arguments.key, arguments.value, set);
  return SayDone(session, stored, "stored", "not stored: the condition is not met");
}

int MSet(const Session& session, const KeysArguments& arguments) {
  std::vector<KeyValue> entries;
  for (std::size_t i = 0; i + 1 < arguments.keys.size(); i += 2) {
    entries.push_back({arguments.keys[i], arguments.keys[i + 1]});
  }
  return SayCount(session, session.client.MSet(entries), "stored");
}

// ---- Numbers -----------------------------------------------------------------------------------

struct DeltaArguments : KeyArguments {
  std::int64_t delta = 1;
};

void DeclareDelta(CLI::App& command, DeltaArguments& arguments) {
  DeclareKey(command, arguments);
  command.add_option("delta", arguments.delta)->capture_default_str();
}

struct ValueArguments : KeyArguments {
  std::string value;
};

// ---- Expiry ------------------------------------------------------------------------------------

struct ExpireArguments : KeyArguments {
  std::string ttl;
};

int Ttl(const Session& session, const KeyArguments& arguments) {
  const Result<TimeToLive> ttl = session.client.Ttl(arguments.key);
  if (!ttl) return session.Report(ttl.error());
  if (session.json) {
    Json json = {{"exists", ttl->exists}};
    json["ttl_ms"] = ttl->left ? Json(ttl->left->count()) : Json(nullptr);
    session.PrintJson(json);
  } else if (!ttl->exists) {
    session.err << "(nil)\n";
  } else if (!ttl->left) {
    session.out << "never\n";
  } else {
    session.out << std::chrono::ceil<std::chrono::seconds>(*ttl->left).count() << "\n";
  }
  return ttl->exists ? kExitDone : kExitRefused;
}

void AddNumberCommands(CommandLine& line) {
  line.Add<DeltaArguments>("incr", "Adds to a number", DeclareDelta,
                           [](const Session& session, const DeltaArguments& arguments) {
                             return SayInteger(session,
                                               session.client.Incr(arguments.key, arguments.delta));
                           });
  line.Add<DeltaArguments>(
      "decr", "Subtracts from a number", DeclareDelta,
      [](const Session& session, const DeltaArguments& arguments) {
        if (arguments.delta == std::numeric_limits<std::int64_t>::min()) {
          return session.Report({ErrorCode::kInvalidArgument, "the delta is out of range"});
        }
        return SayInteger(session, session.client.Incr(arguments.key, -arguments.delta));
      });
  line.Add<ValueArguments>(
      "append", "Appends to a value; prints its new length",
      [](CLI::App& command, ValueArguments& arguments) {
        DeclareKey(command, arguments);
        command.add_option("value", arguments.value)->required();
      },
      [](const Session& session, const ValueArguments& arguments) {
        return SayInteger(session, session.client.Append(arguments.key, arguments.value));
      });
  line.Add<KeyArguments>("strlen", "Prints the length of a value", DeclareKey,
                         [](const Session& session, const KeyArguments& arguments) {
                           return SayInteger(session, session.client.Strlen(arguments.key));
                         });
}

void AddExpiryCommands(CommandLine& line) {
  line.Add<KeyArguments>("ttl", "Prints the seconds until a key expires", DeclareKey, Ttl);
  line.Add<ExpireArguments>(
      "expire", "Sets the time to live of a key",
      [](CLI::App& command, ExpireArguments& arguments) {
        DeclareKey(command, arguments);
        command.add_option("ttl", arguments.ttl, "10 (seconds), 100ms, 10s, 5m, 2h, 7d")
            ->required()
            ->check(CheckTtl);
      },
      [](const Session& session, const ExpireArguments& arguments) {
        return SayDone(session, session.client.Expire(arguments.key, *ParseTtl(arguments.ttl)),
                       "expires", "(nil)");
      });
  line.Add<KeyArguments>("persist", "Removes the expiry of a key", DeclareKey,
                         [](const Session& session, const KeyArguments& arguments) {
                           return SayDone(session, session.client.Persist(arguments.key),
                                          "persisted", "no such key, or it had no expiry");
                         });
}

}  // namespace

void AddDataCommands(CommandLine& line) {
  line.Add<GetArguments>(
      "get", "Prints a value",
      [](CLI::App& command, GetArguments& arguments) {
        DeclareKey(command, arguments);
        command.add_flag("--raw", arguments.raw, "No newline behind the value");
      },
      Get);
  line.Add<SetArguments>("set", "Stores a value", DeclareSet, Set);
  line.Add<KeysArguments>("del", "Removes keys; prints how many there were", DeclareKeys,
                          [](const Session& session, const KeysArguments& arguments) {
                            return SayCount(session, session.client.MDel(arguments.keys),
                                            "deleted");
                          });
  line.Add<KeysArguments>("mget", "Prints several values", DeclareKeys, MGet);
  line.Add<KeysArguments>(
      "mset", "Stores several values: KEY VALUE KEY VALUE ...",
      [](CLI::App& command, KeysArguments& arguments) {
        command.add_option("pairs", arguments.keys)->required()->expected(2, 1 << 20);
        command.parse_complete_callback([&arguments] {
          if (arguments.keys.size() % 2 != 0) {
            throw CLI::ValidationError("mset", "a key without a value");
          }
        });
      },
      MSet);
  AddNumberCommands(line);
  AddExpiryCommands(line);
  const auto count_of = [](const char* command) {
    return [command](const Session& session, const KeysArguments& arguments) {
      std::vector<Result<bool>> results;
      for (const std::string& key : arguments.keys) {
        results.push_back(std::string_view(command) == "exists" ? session.client.Exists(key)
                                                                : session.client.Touch(key));
      }
      return SayCount(session, results, command);
    };
  };
  line.Add<KeysArguments>("exists", "Counts which of the keys exist", DeclareKeys,
                          count_of("exists"));
  line.Add<KeysArguments>("touch", "Marks keys as used", DeclareKeys, count_of("touched"));
}

}  // namespace gyre::client
