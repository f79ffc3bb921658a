#include "sim/clients.h"

#include <memory>
#include <optional>
#include <utility>

namespace gyre::sim {
namespace {

constexpr Duration kDeadline = seconds(3);  // told to the node
constexpr Duration kPatience = seconds(6);  // then the node is gone, with the answer

history::Kind KindOf(Operation::Kind kind) {
  switch (kind) {
    case Operation::Kind::kSet:
      return history::Kind::kSet;
    case Operation::Kind::kDelete:
      return history::Kind::kDelete;
    case Operation::Kind::kIncrement:
      return history::Kind::kIncrement;
    case Operation::Kind::kSwap:
      return history::Kind::kSwap;
    case Operation::Kind::kGet:
      break;
  }
  return history::Kind::kGet;
}

}  // namespace

void Clients::Begin(const LoadOptions& options) {
  options_ = options;
  loading_ = true;
  const int count = options.writers + options.contestants;
  for (int i = 0; i < count; ++i) {
    Client& client = *clients_.emplace_back(std::make_unique<Client>());
    client.number = static_cast<std::uint32_t>(i);
    client.contests = i >= options.writers;
    Next(client);
  }
}

void Clients::End() {
  loading_ = false;
  world_.RunUntil([this] { return busy_ == 0; }, seconds(20));
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
  std::string key;
  const Operation::Kind kind = Choose(client, key);
  Ask(client, kind, key);
}

void Clients::Ask(Client& client, Operation::Kind kind, const std::string& key) {
  const NodeIndex contact = AnyNode();
  if (contact == kNobody) {
    world_.At(kNobody, seconds(1), [this, &client] { Next(client); });
    return;
  }
  ++busy_;
  Operation operation;
  operation.kind = kind;
  operation.id = next_id_++;
  operation.key = key;
  history::Operation write;
  history::Read read = history_.BeginRead(client.number, key, world_.now_us());
  if (!operation.is_read()) {
    write = {KindOf(kind), client.number, key};
    if (kind == Operation::Kind::kSwap) {
      const Answer& last = client.read.at(key);
      operation.token = write.token = last.token;
      write.previous = last.kind == Answer::Kind::kValue ? std::stoull(last.value) : 0;
      client.read.erase(key);
    }
    write = history_.Begin(write, world_.now_us());
    operation.value = std::to_string(write.number);
    waiting_.emplace(operation.id, write);
  }
  auto answered = std::make_shared<bool>(false);
  const auto finish = [this, &client, operation, write, read, answered](const Answer& answer) {
    if (std::exchange(*answered, true)) return;
    OnAnswer(client, operation, write, read, answer);
    --busy_;
    world_.At(kNobody, options_.think, [this, &client] { Next(client); });
  };
  world_.At(contact, world_.Delay(), [this, contact, operation, finish] {
    nodes_(contact)->Execute(
        operation, world_.now() + kDeadline, [this, finish](const Answer& answer) {
          world_.At(kNobody, world_.Delay(), [finish, answer] { finish(answer); });
        });
  });
  world_.At(kNobody, kPatience, [finish] {
    finish({Answer::Kind::kUnknown, "the contact went away"});
  });
}

void Clients::OnAnswer(Client& client, const Operation& operation, const history::Operation& write,
                       const history::Read& read, const Answer& answer) {
  if (operation.is_read()) return OnRead(client, read, answer);
  waiting_.erase(operation.id);
  const std::int64_t now = world_.now_us();
  switch (answer.kind) {
    case Answer::Kind::kOk: {
      const bool counts = operation.kind == Operation::Kind::kIncrement;
      history_.Acknowledge(write, now, counts ? std::stoull(answer.value) : 0);
      break;
    }
    case Answer::Kind::kUnknown:
      abandoned_.emplace(operation.id, write);
      history_.Unknown(write, now);
      break;
    case Answer::Kind::kMiss:  // nothing to delete: that is a read, too
      OnRead(client, read, answer);
      history_.Acknowledge(write, now);
      break;
    default:
      history_.Refuse(write, now);
      break;
  }
}

void Clients::OnRead(Client& client, const history::Read& read, const Answer& answer) {
  const bool missed = answer.kind == Answer::Kind::kMiss;
  if (!missed && answer.kind != Answer::Kind::kValue) return;
  if (read.key[0] == 't') client.read[read.key] = answer;
  if (!judge_reads_) return;
  const auto number = missed ? std::nullopt : std::optional(std::stoull(answer.value));
  history_.EndRead(read, {number, answer.token}, world_.now_us(),
                   [&] { return Circumstances(read.key, answer); });
}

std::string Clients::Circumstances(const std::string& key, const Answer& answer) {
  return "by " + answer.by + "; " + (copies ? copies(key) : "");
}

void Clients::OnWrite(const Operation& operation) {
  if (waiting_.contains(operation.id)) return;
  const auto found = abandoned_.find(operation.id);
  if (found != abandoned_.end()) history_.ExecutedLate(found->second, world_.now_us());
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
      nodes_(node)->Execute(
          operation, world_.now() + seconds(5), [this, read, when, &open](const Answer& answer) {
            --open;
            const bool missed = answer.kind == Answer::Kind::kMiss;
            if (!missed && answer.kind != Answer::Kind::kValue) {
              return history_.Violate(history::Fault::kUnreadable, read.key,
                                      when + ": " + read.key + " cannot be read");
            }
            const auto number = missed ? std::nullopt : std::optional(std::stoull(answer.value));
            history_.EndRead(
                read, {number, answer.token}, world_.now_us(),
                [&] { return when + " " + Circumstances(read.key, answer); }, true);
          });
    }
    world_.Run(milliseconds(2));
  }
  if (world_.RunUntil([&open] { return open == 0; }, seconds(10))) return;
  history_.Violate(history::Fault::kUnreadable, "", when + ": reads without an answer");
  world_.Run(seconds(10));  // they still point to `open`
}

}  // namespace gyre::sim
