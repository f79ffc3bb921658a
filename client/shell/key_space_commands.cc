// One-shot commands about the whole key space: keys, scan, dbsize, flushall.
#include "client/shell/command_line.h"
#include "client/shell/words.h"

namespace gyre::client {
namespace {

struct NoArguments {};

// The keys of a reply, one a line or as a JSON array.
class KeyPrinter {
 public:
  explicit KeyPrinter(const Session& session) : session_(session) {}
  void Add(const Value& key) {
    ++count_;
    if (session_.json) {
      array_.push_back(ToJson(key));
    } else if (IsUtf8(key.text) && key.text.find('\n') == std::string::npos) {
      session_.out << key.text << "\n";
    } else {
      session_.out << Quote(key.text) << "\n";
    }
  }
  std::uint64_t count() const { return count_; }
  int Finish() {
    if (session_.json) session_.PrintJson(array_);
    return kExitDone;
  }

 private:
  const Session& session_;
  Json array_ = Json::array();
  std::uint64_t count_ = 0;
};

struct KeysArguments {
  std::string pattern = "*";
};

int Keys(const Session& session, const KeysArguments& arguments) {
  const Result<Value> keys = session.client.Execute({"KEYS", arguments.pattern});
  if (!keys) return session.Report(keys.error());
  KeyPrinter printer(session);
  for (const Value& key : keys->elements) printer.Add(key);
  return printer.Finish();
}

struct ScanArguments {
  std::string match = "*";
  std::uint64_t count = 1000;
  std::uint64_t limit = 0;
};

int Scan(const Session& session, const ScanArguments& arguments) {
  KeyPrinter printer(session);
  std::string cursor = "0";
  do {
    const Result<Value> step = session.client.Execute(
        {"SCAN", cursor, "MATCH", arguments.match, "COUNT", std::to_string(arguments.count)});
    if (!step) return session.Report(step.error());
    if (step->elements.size() != 2) {
      return session.Report({ErrorCode::kProtocol, "the node's answer to SCAN has no cursor"});
    }
    const Value& next = step->elements[0];
    cursor = next.kind == Value::Kind::kInteger    ? std::to_string(next.integer)
             : next.kind == Value::Kind::kUnsigned ? std::to_string(next.unsigned_integer)
                                                   : next.text;
    for (const Value& key : step->elements[1].elements) {
      if (arguments.limit != 0 && printer.count() == arguments.limit) return printer.Finish();
      printer.Add(key);
    }
  } while (cursor != "0");
  return printer.Finish();
}

int DbSize(const Session& session, const NoArguments&) {
  const Result<Value> size = session.client.Execute({"DBSIZE"});
  if (!size) return session.Report(size.error());
  const Json count = ToJson(*size);
  if (session.json) {
    session.PrintJson({{"keys", count}});
  } else {
    session.out << count << "\n";
  }
  return kExitDone;
}

struct FlushArguments {
  bool yes = false;
};

int FlushAll(const Session& session, const FlushArguments& arguments) {
  if (!arguments.yes) {
    session.err << "gyre: flushall removes every key of the cluster; if you mean it: gyre flushall "
                   "--yes\n";
    return kExitUsage;
  }
  const Result<Value> flushed = session.client.Execute({"FLUSHALL"});
  if (!flushed) return session.Report(flushed.error());
  session.json ? session.PrintJson({{"flushed", true}}) : void(session.out << "OK\n");
  return kExitDone;
}

}  // namespace

void AddKeySpaceCommands(CommandLine& line) {
  line.Add<KeysArguments>(
      "keys", "Prints the keys that match a pattern",
      [](CLI::App& command, KeysArguments& arguments) {
        command.add_option("pattern", arguments.pattern, "* ? [abc]")->capture_default_str();
      },
      Keys);
  line.Add<ScanArguments>(
      "scan", "Prints the keys step by step, which blocks no node for long",
      [](CLI::App& command, ScanArguments& arguments) {
        command.add_option("--match", arguments.match, "* ? [abc]")->capture_default_str();
        command.add_option("--count", arguments.count, "Keys to look at in one step")
            ->check(CLI::Range(1, 1000000))
            ->capture_default_str();
        command.add_option("--limit", arguments.limit, "Stop after so many; 0: all");
      },
      Scan);
  line.Add<NoArguments>(
      "dbsize", "Counts the keys of the cluster", [](CLI::App&, NoArguments&) {}, DbSize);
  line.Add<FlushArguments>(
      "flushall", "Removes all keys of the cluster",
      [](CLI::App& command, FlushArguments& arguments) {
        command.add_flag("--yes", arguments.yes, "Yes, all of them");
      },
      FlushAll);
}

}  // namespace gyre::client
