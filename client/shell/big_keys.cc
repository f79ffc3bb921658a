#include "client/shell/big_keys.h"

#include <algorithm>
#include <utility>

#include "client/shell/interrupt.h"
#include "client/shell/progress_line.h"
#include "client/shell/screen.h"
#include "client/shell/table.h"
#include "client/shell/words.h"
#include "proto/human.h"

namespace gyre::client {
namespace {

constexpr const char* kKeysOfStep = "1000";
// Of a key in the table.
constexpr std::size_t kBigKeyBytesShown = 40;

bool IsLarger(const BigKeys::Key& a, const BigKeys::Key& b) { return a.bytes > b.bytes; }

std::uint64_t AsCount(const Value& value) {
  if (value.kind == Value::Kind::kUnsigned) return value.unsigned_integer;
  return static_cast<std::uint64_t>(std::max<std::int64_t>(value.integer, 0));
}

// How the size of a key is asked for: what it takes in memory, where the nodes know that.
std::string Measure(const ShellContext& shell) {
  const Result<Value> known = shell.client.Execute({"MEMORY", "USAGE", "gyre"}, shell.call);
  const bool unknown = !known && known.error().code == ErrorCode::kUnknownCommand;
  return unknown ? "strlen" : "memory_usage";
}

class Walk {
 public:
  Walk(const ShellContext& shell, const BigKeysArguments& arguments)
      : shell_(shell),
        arguments_(arguments),
        measure_(Measure(shell)),
        found_(arguments.top),
        progress_(shell.err, shell.error_terminal && !shell.json) {}

  // Why it could not go on.
  std::optional<Error> Run() {
    if (const Result<Value> size = shell_.client.Execute({"DBSIZE"}, shell_.call)) {
      all_ = AsCount(*size);
    }
    std::string cursor = "0";
    do {
      const Result<Value> step = shell_.client.Execute(
          {"SCAN", cursor, "MATCH", arguments_.match, "COUNT", kKeysOfStep}, shell_.call);
      if (Interrupted()) return std::nullopt;
      if (!step) return step.error();
      if (step->elements.size() != 2) {
        return Error{ErrorCode::kProtocol, "the node's answer to SCAN has no cursor"};
      }
      const Value& next = step->elements[0];
      cursor = next.kind == Value::Kind::kBulk || next.kind == Value::Kind::kText
                   ? next.text
                   : std::to_string(AsCount(next));
      Look(step->elements[1].elements);
      if (progress_.Due()) ShowProgress();
    } while (cursor != "0" && !Interrupted());
    complete_ = cursor == "0";
    return std::nullopt;
  }

  void Print() {
    progress_.Clear();
    shell_.json ? PrintAsJson() : PrintAsText();
  }

 private:
  void Look(const std::vector<Value>& keys) {
    std::vector<Command> questions;
    questions.reserve(2 * keys.size());
    for (const Value& key : keys) {
      questions.push_back(measure_ == "strlen" ? Command{"STRLEN", key.text}
                                               : Command{"MEMORY", "USAGE", key.text});
      questions.push_back({"TYPE", key.text});
    }
    const std::vector<Result<Value>> answers = shell_.client.ExecuteMany(questions, shell_.call);
    for (std::size_t i = 0; i < keys.size(); ++i) {
      const Result<Value>& size = answers[2 * i];
      const Result<Value>& type = answers[2 * i + 1];
      // It went meanwhile, or its node did.
      if (!size || !type || size->is_null() || type->text == "none") {
        missed_ += !size || !type ? 1 : 0;
        continue;
      }
      found_.Add({keys[i].text, type->text, AsCount(*size)});
    }
  }

  void ShowProgress() {
    constexpr std::size_t kCells = 20;
    const double share =
        all_ == 0 ? 0
                  : std::min(1.0, static_cast<double>(found_.keys()) / static_cast<double>(all_));
    const std::vector<BigKeys::Key> largest = found_.Largest();
    progress_.Show("[" + Bar(shell_.screen, share, kCells) + "] " +
                   HumanCount(static_cast<double>(found_.keys())) + " of " +
                   HumanCount(static_cast<double>(all_)) + " keys" +
                   (largest.empty() ? ""
                                    : std::string(shell_.screen.separator()) + "largest " +
                                          HumanBytes(static_cast<double>(largest[0].bytes))));
  }

  void PrintAsJson() {
    Json types = Json::object();
    for (const auto& [name, type] : found_.types()) {
      types[name] = {{"keys", type.keys}, {"bytes", type.bytes}};
    }
    Json largest = Json::array();
    for (const BigKeys::Key& one : found_.Largest()) {
      Json entry = Json::object();
      AddBytes(entry, "key", one.key);
      entry["type"] = one.type;
      entry["bytes"] = one.bytes;
      largest.push_back(std::move(entry));
    }
    shell_.PrintJson({{"complete", complete_},
                      {"measure", measure_},
                      {"keys", found_.keys()},
                      {"bytes", found_.bytes()},
                      {"failed", missed_},
                      {"types", std::move(types)},
                      {"largest", std::move(largest)}});
  }

  void PrintAsText() {
    TextTable largest({"BYTES", "SIZE", "TYPE", "KEY"});
    for (const BigKeys::Key& one : found_.Largest()) {
      std::string shown = Readable(one.key);
      if (shown.size() > kBigKeyBytesShown)
        shown = Quote(one.key.substr(0, kBigKeyBytesShown)) + "...";
      largest.AddRow(
          {std::to_string(one.bytes), HumanBytes(static_cast<double>(one.bytes)), one.type, shown});
    }
    largest.Print(shell_.out);
    shell_.out << "\n";
    TextTable types({"TYPE", "KEYS", "BYTES", "MEAN"});
    for (const auto& [name, type] : found_.types()) {
      types.AddRow({name, std::to_string(type.keys), std::to_string(type.bytes),
                    HumanBytes(static_cast<double>(type.bytes) /
                               static_cast<double>(std::max<std::uint64_t>(type.keys, 1)))});
    }
    types.Print(shell_.out);
    shell_.out << found_.keys() << " keys, " << HumanBytes(static_cast<double>(found_.bytes()))
               << (measure_ == "strlen" ? " of values" : " of memory")
               << (complete_ ? "" : "; it was stopped before the end");
    if (missed_ > 0) shell_.out << "; " << missed_ << " keys could not be asked for";
    shell_.out << "\n";
  }

  const ShellContext& shell_;
  const BigKeysArguments& arguments_;
  const std::string measure_;
  BigKeys found_;
  ProgressLine progress_;
  std::uint64_t all_ = 0;  // keys of the ring
  std::uint64_t missed_ = 0;
  bool complete_ = false;
};

}  // namespace

void BigKeys::Add(Key key) {
  ++keys_;
  bytes_ += key.bytes;
  Type& type = types_[key.type];
  ++type.keys;
  type.bytes += key.bytes;
  if (most_ == 0 || (heap_.size() == most_ && heap_.front().bytes >= key.bytes)) return;
  // SCAN may tell a key twice.
  const bool known = std::any_of(heap_.begin(), heap_.end(),
                                 [&key](const Key& one) { return one.key == key.key; });
  if (known) return;
  if (heap_.size() == most_) {
    std::pop_heap(heap_.begin(), heap_.end(), IsLarger);
    heap_.pop_back();
  }
  heap_.push_back(std::move(key));
  std::push_heap(heap_.begin(), heap_.end(), IsLarger);
}

std::vector<BigKeys::Key> BigKeys::Largest() const {
  std::vector<Key> largest = heap_;
  std::sort(largest.begin(), largest.end(), [](const Key& a, const Key& b) {
    return a.bytes != b.bytes ? a.bytes > b.bytes : a.key < b.key;
  });
  return largest;
}

int FindBigKeys(const ShellContext& shell, const BigKeysArguments& arguments) {
  const CatchInterrupts catch_interrupts;  // what was found until then is told
  Walk walk(shell, arguments);
  if (const std::optional<Error> failed = walk.Run()) return shell.Report(*failed);
  walk.Print();
  return Interrupted() ? kExitRefused : kExitDone;
}

}  // namespace gyre::client
