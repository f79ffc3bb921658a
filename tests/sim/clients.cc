#include "sim/clients.h"

#include <memory>
#include <optional>
#include <utility>

#include "base/log.h"
#include "proto/slot.h"

namespace gyre::sim {
namespace {

constexpr Duration kDeadline = seconds(3);  // told to the node
constexpr Duration kPatience = seconds(6);  // then the node is gone, with the answer

// Of each grouper.
constexpr std::uint64_t kSets = 4;
constexpr int kMembers = 4;

history::Kind KindOf(Operation::Kind kind) {
  switch (kind) {
    case Operation::Kind::kSet:
    case Operation::Kind::kSetAll:
      return history::Kind::kSet;
    case Operation::Kind::kDelete:
    case Operation::Kind::kDeleteAll:
      return history::Kind::kDelete;
    case Operation::Kind::kIncrement:
      return history::Kind::kIncrement;
    case Operation::Kind::kSwap:
      return history::Kind::kSwap;
    case Operation::Kind::kGet:
    case Operation::Kind::kGetAll:
      break;
  }
  return history::Kind::kGet;
}

}  // namespace

void Clients::Begin(const LoadOptions& options) {
  options_ = options;
  loading_ = true;
  ++loads_;
  const int singles = options.writers + options.contestants;
  const int count = singles + options.groupers;
  for (int i = 0; i < count; ++i) {
    Client& client = *clients_.emplace_back(std::make_unique<Client>());
    client.number = static_cast<std::uint32_t>(i);
    client.contests = i >= options.writers && i < singles;
    client.groups = i >= singles;
    Next(client);
  }
}

void Clients::End() {
  loading_ = false;
  world_.RunUntil([this] { return busy_ == 0; }, seconds(20));
}

void Clients::Rest(Duration span) {
  world_.At(kNobody, span, [this, load = loads_] {
    if (load == loads_) loading_ = false;
  });
}

NodeIndex Clients::AnyNode() {
  for (int attempt = 0; attempt < 1000; ++attempt) {
    const auto node = static_cast<NodeIndex>(world_.random().Below(world_.size()));
    if (nodes_(node) != nullptr) return node;
  }
  return kNobody;
}

Operation::Kind Clients::Choose(Client& client, std::string& key) {
  Prng& random = world_.random();
  const std::uint64_t dice = random.Below(100);
  const auto any = [&random](int count) {
    return std::to_string(random.Below(static_cast<std::uint64_t>(count)));
  };
  if (!client.contests) {
    key = "c" + std::to_string(client.number) + "k" + any(options_.keys);
    if (dice < 55) return Operation::Kind::kSet;
    return dice < 90 ? Operation::Kind::kGet : Operation::Kind::kDelete;
  }
  const bool counts = options_.swapped == 0 || (options_.counters != 0 && dice % 2 == 0);
  if (counts) {
    key = "n" + any(options_.counters);
    return dice < 80 ? Operation::Kind::kIncrement : Operation::Kind::kGet;
  }
  key = "t" + any(options_.swapped);
  // One tries with what was read last, or reads again.
  return client.read.contains(key) ? Operation::Kind::kSwap : Operation::Kind::kGet;
}

void Clients::Next(Client& client) {
  if (!loading_) return;
  if (client.groups) return ChooseSome(client);
  std::string key;
  const Operation::Kind kind = Choose(client, key);
  Ask(client, kind, {key});
}

// Some of the keys of one set, or all for a read.
void Clients::ChooseSome(Client& client) {
  Prng& random = world_.random();
  const std::string set =
      "c{" + std::to_string(client.number) + "." + std::to_string(random.Below(kSets)) + "}m";
  const std::uint64_t dice = random.Below(100);
  const bool reads = dice >= 60;
  const auto left_out = static_cast<int>(random.Below(2 * kMembers));
  std::vector<std::string> keys;
  for (int i = 0; i < kMembers; ++i) {
    if (reads || i != left_out) keys.push_back(set + std::to_string(i));
  }
  const Operation::Kind writes = dice < 48 ? Operation::Kind::kSetAll : Operation::Kind::kDeleteAll;
  Ask(client, reads ? Operation::Kind::kGetAll : writes, keys);
}

Clients::Question Clients::Word(Client& client, Operation::Kind kind,
                                const std::vector<std::string>& keys) {
  Question question;
  Operation& operation = question.operation;
  operation.kind = kind;
  operation.key = keys.front();
  const bool is_group = keys.size() > 1;
  if (is_group) operation.keys = keys;
  const std::uint64_t snapshot = kind == Operation::Kind::kGetAll ? ++snapshots_ : 0;
  const std::uint64_t group = is_group && !operation.is_read() ? ++groups_ : 0;
  for (const std::string& key : keys) {
    question.reads.push_back(history_.BeginRead(client.number, key, world_.now_us(), snapshot));
    if (operation.is_read()) continue;
    history::Operation write{KindOf(kind), client.number, key};
    write.partition = PartitionOf(SlotOf(key), partitions_);
    write.group = group;
    if (kind == Operation::Kind::kSwap) {
      const Answer& last = client.read.at(key);
      operation.token = write.token = last.token;
      write.previous = last.kind == Answer::Kind::kValue ? std::stoull(last.value) : 0;
      client.read.erase(key);
    }
    write = history_.Begin(write, world_.now_us());
    operation.value = std::to_string(write.number);
    if (is_group) operation.values.push_back(operation.value);
    if (write.kind == history::Kind::kDelete) deleting_.insert(key);
    question.writes.push_back(write);
  }
  return question;
}

void Clients::Ask(Client& client, Operation::Kind kind, const std::vector<std::string>& keys) {
  const NodeIndex contact = AnyNode();
  if (contact == kNobody) {
    world_.At(kNobody, seconds(1), [this, &client] { Next(client); });
    return;
  }
  ++busy_;
  Question question = Word(client, kind, keys);
  question.contact = contact;
  auto answered = std::make_shared<bool>(false);
  const auto finish = [this, &client, question, answered](const Answer& answer) {
    if (std::exchange(*answered, true)) return;
    OnAnswer(client, question, answer);
    --busy_;
    world_.At(kNobody, options_.think, [this, &client] { Next(client); });
  };
  world_.At(contact, world_.Delay(), [this, question, finish] {
    nodes_(question.contact)
        ->Execute(question.operation, world_.now() + kDeadline,
                  [this, finish](const Answer& answer) {
                    world_.At(kNobody, world_.Delay(), [finish, answer] { finish(answer); });
                  });
  });
  world_.At(kNobody, kPatience, [finish] {
    finish({Answer::Kind::kUnknown, "the contact went away"});
  });
}

void Clients::OnAnswer(Client& client, const Question& question, const Answer& answer) {
  if (question.operation.kind == Operation::Kind::kGetAll) {
    for (std::size_t i = 0; i < answer.each.size() && i < question.reads.size(); ++i) {
      OnRead(client, question.contact, question.reads[i], answer.each[i]);
    }
    return;
  }
  if (question.operation.is_read()) {
    return OnRead(client, question.contact, question.reads.front(), answer);
  }
  for (const history::Operation& write : question.writes) {
    if (write.kind == history::Kind::kDelete) deleting_.erase(write.key);
    if (IsLogged(LogLevel::kDebug)) {
      LogDebug("a write ends", {{"at_ms", world_.unix_now() % 1'000'000},
                                {"write", write.number},
                                {"key", write.key},
                                {"through", question.contact},
                                {"as", static_cast<int>(answer.kind)},
                                {"value", answer.value}});
    }
    if (answer.kind == Answer::Kind::kMiss) {  // nothing to delete: that is a read, too
      OnRead(client, question.contact, question.reads.front(), answer);
    }
    OnWritten(write, answer);
  }
}

void Clients::OnWritten(const history::Operation& write, const Answer& answer) {
  const std::int64_t now = world_.now_us();
  switch (answer.kind) {
    case Answer::Kind::kOk: {
      const bool counts = write.kind == history::Kind::kIncrement;
      return history_.Acknowledge(write, now, counts ? std::stoull(answer.value) : 0);
    }
    case Answer::Kind::kUnknown:
      abandoned_.emplace(write.key, write);
      return history_.Unknown(write, now);
    case Answer::Kind::kMiss:
      return history_.Acknowledge(write, now);
    default:
      return history_.Refuse(write, now);
  }
}

void Clients::OnRead(Client& client, NodeIndex contact, const history::Read& read,
                     const Answer& answer) {
  const bool missed = answer.kind == Answer::Kind::kMiss;
  if (!missed && answer.kind != Answer::Kind::kValue) return;
  if (read.key[0] == 't') client.read[read.key] = answer;
  if (!judge_reads_) return;
  const auto number = missed ? std::nullopt : std::optional(std::stoull(answer.value));
  history_.EndRead(read, {number, answer.token}, world_.now_us(),
                   [&] { return Circumstances(contact, read.key); });
}

std::string Clients::Circumstances(NodeIndex contact, const std::string& key) {
  return "through n" + std::to_string(contact) + "; " + (copies ? copies(key) : "");
}

void Clients::OnWrite(const SubmittedWrite& write) {
  // A removal that its writer waits for, or the value that it waits for, is not late.
  if (write.key[0] != 'c' || (!write.value && deleting_.contains(write.key))) return;
  const auto [begin, end] = abandoned_.equal_range(write.key);
  for (auto it = begin; it != end; ++it) {
    const history::Operation& operation = it->second;
    const bool deletes = operation.kind == history::Kind::kDelete;
    const bool is_it =
        write.value ? !deletes && operation.number == std::stoull(*write.value) : deletes;
    if (is_it) history_.ExecutedLate(operation, world_.now_us());
  }
}

void Clients::ReadAll(const std::string& when) {
  int open = 0;
  for (const std::string& key : history_.keys()) {
    for (NodeIndex node = 0; node < world_.size(); ++node) {
      if (nodes_(node) == nullptr) continue;
      ++open;
      const history::Read read = history_.BeginRead(node, key, world_.now_us());
      Operation operation;
      operation.key = key;
      nodes_(node)->Execute(operation, world_.now() + seconds(5),
                            [this, node, read, when, &open](const Answer& answer) {
                              --open;
                              const bool missed = answer.kind == Answer::Kind::kMiss;
                              if (!missed && answer.kind != Answer::Kind::kValue) {
                                return history_.Violate(history::Fault::kUnreadable, read.key,
                                                        when + ": " + read.key + " cannot be read");
                              }
                              const auto number =
                                  missed ? std::nullopt : std::optional(std::stoull(answer.value));
                              history_.EndRead(
                                  read, {number, answer.token}, world_.now_us(),
                                  [&] { return when + " " + Circumstances(node, read.key); }, true);
                            });
    }
    world_.Run(milliseconds(2));
  }
  if (world_.RunUntil([&open] { return open == 0; }, seconds(10))) return;
  history_.Violate(history::Fault::kUnreadable, "", when + ": reads without an answer");
  world_.Run(seconds(10));  // they still point to `open`
}

}  // namespace gyre::sim
