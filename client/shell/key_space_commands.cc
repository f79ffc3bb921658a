// Commands about the whole key space: keys, scan, dbsize, flushall.
#include "client/shell/cluster_reply.h"
#include "client/shell/command_line.h"
#include "client/shell/confirm.h"
#include "client/shell/interrupt.h"
#include "client/shell/words.h"

namespace gyre::client {
namespace {

// The keys of a reply, one a line or as a JSON array.
class KeyPrinter {
 public:
  explicit KeyPrinter(const ShellContext& shell) : session_(shell) {}
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
  const ShellContext& session_;
  Json array_ = Json::array();
  std::uint64_t count_ = 0;
};

int Keys(const ShellContext& shell, const Arguments& arguments) {
  const std::string pattern = arguments.words.empty() ? "*" : arguments.words[0];
  const Result<Value> keys = shell.client.Execute({"KEYS", pattern}, shell.call);
  if (!keys) return shell.Report(keys.error());
  KeyPrinter printer(shell);
  for (const Value& key : keys->elements) printer.Add(key);
  return printer.Finish();
}

struct ScanArguments : Arguments {
  std::string match = "*";
  std::uint64_t count = 1000;
  std::uint64_t limit = 0;
};

// With a cursor it is one step, as Redis's.
int Scan(const ShellContext& shell, const ScanArguments& arguments) {
  if (!arguments.words.empty()) return RunOnCluster(shell, "SCAN", arguments.words);
  KeyPrinter printer(shell);
  std::string cursor = "0";
  do {
    const Result<Value> step = shell.client.Execute(
        {"SCAN", cursor, "MATCH", arguments.match, "COUNT", std::to_string(arguments.count)},
        shell.call);
    if (!step) return shell.Report(step.error());
    if (Interrupted()) return printer.Finish();
    if (step->elements.size() != 2) {
      return shell.Report({ErrorCode::kProtocol, "the node's answer to SCAN has no cursor"});
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

Result<Value> CountKeys(const ShellContext& shell) {
  return shell.client.Execute({"DBSIZE"}, shell.call);
}

int DbSize(const ShellContext& shell, const Arguments&) {
  const Result<Value> size = CountKeys(shell);
  if (!size) return shell.Report(size.error());
  const Json count = ToJson(*size);
  if (shell.json) {
    shell.PrintJson({{"keys", count}});
  } else {
    shell.out << count << "\n";
  }
  return kExitDone;
}

struct FlushArguments : Arguments {
  bool yes = false;
};

// Nothing is removed by mistake: a person types the cluster's name, a program says --yes.
int FlushAll(const ShellContext& shell, const FlushArguments& arguments) {
  if (!arguments.yes && shell.ask == nullptr) {
    shell.err << ErrorPrefix(shell.line)
              << "flushall removes every key of the cluster; if you mean it: flushall --yes\n";
    return kExitUsage;
  }
  if (!arguments.yes) {
    const Result<Value> count = CountKeys(shell);
    if (!count) return shell.Report(count.error());
    if (!Confirm(shell, "removes " + ToJson(*count).dump() + " keys")) return kExitRefused;
  }
  std::vector<std::string> words = {"FLUSHALL"};
  words.insert(words.end(), arguments.words.begin(), arguments.words.end());
  const Result<Value> flushed = shell.client.Execute(words, shell.call);
  if (!flushed) return shell.Report(flushed.error());
  shell.json ? shell.PrintJson({{"flushed", true}}) : void(shell.out << "OK\n");
  return kExitDone;
}

}  // namespace

void AddKeySpaceCommands(CommandLine& line) {
  line.Add<Arguments>({"keys", "[PATTERN]", "Prints the keys that match a pattern: * ? [abc]"},
                      nullptr, Keys);
  line.Add<ScanArguments>(
      {"scan", "[CURSOR [MATCH pattern] [COUNT keys]]",
       "Prints the keys step by step, which blocks no node for long; with a cursor: one step"},
      [](CLI::App& command, ScanArguments& arguments) {
        command.add_option("--match", arguments.match, "* ? [abc]")->capture_default_str();
        command.add_option("--count", arguments.count, "Keys to look at in one step")
            ->check(CLI::Range(1, 1000000))
            ->capture_default_str();
        command.add_option("--limit", arguments.limit, "Stop after so many; 0: all");
      },
      Scan);
  line.Add<Arguments>({"dbsize", "", "Counts the keys of the cluster"}, nullptr, DbSize);
  for (const char* name : {"flushall", "flushdb"}) {
    line.Add<FlushArguments>(
        {name, "[ASYNC|SYNC]", "Removes all keys of the cluster, once you confirm it"},
        [](CLI::App& command, FlushArguments& arguments) {
          command.add_flag("--yes", arguments.yes, "Yes, all of them");
        },
        FlushAll);
  }
}

}  // namespace gyre::client
