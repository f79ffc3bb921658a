#include "history/stream_model.h"

#include <algorithm>
#include <compare>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <queue>
#include <string>
#include <utility>
#include <vector>

#include "base/prng.h"

namespace gyre::history {
namespace {

constexpr std::uint32_t kPartition = 1;
constexpr int kFailures = 3;
constexpr std::uint64_t kCalm = 1200;    // from one failure to the next, at most
constexpr std::uint64_t kOutage = 400;   // until who failed is back, at most
constexpr std::int64_t kDetection = 60;  // until a new owner serves
constexpr std::int64_t kPatience = 300;  // of a client
constexpr std::int64_t kResend = 40;
constexpr std::uint64_t kDelay = 12;   // of a message, at most
constexpr std::int64_t kSlowness = 3;  // of the way to the last copy
constexpr std::size_t kKept = 24;      // groups of the stream; beyond, copies are compared
constexpr int kWriters = 5;
constexpr std::uint64_t kKeys = 4;  // of each of them
constexpr int kGroupKeys = 6;       // of the writer of groups

struct Position {
  std::uint64_t term = 0;
  std::uint64_t number = 0;
  auto operator<=>(const Position&) const = default;
};
struct Effect {
  std::string key;
  std::optional<std::uint64_t> value;  // empty: removed
};
struct Group {
  Position at;
  Position previous;
  std::int64_t stamp = 0;
  std::vector<Effect> effects;
};
struct Cell {
  std::optional<std::uint64_t> value;  // empty: the memory of a removal
  Position at;
  std::int64_t stamp = 0;
};
struct Copy {
  bool reachable = true;
  std::map<std::string, Cell> cells;
  Position applied;
  std::map<Position, Group> early;  // by predecessor
};
// What waits for acknowledgements.
struct Waiting {
  Position at;
  std::function<void()> done;
};

class Model {
 public:
  Model(const ModelOptions& options, History& history)
      : options_(options), history_(history), random_(options.seed), copies_(options.copies) {}

  void Run() {
    for (int writer = 0; writer < kWriters; ++writer) NextWrite(writer);
    NextGroup();
    for (int reader = 0; reader < 2; ++reader) NextRead();
    if (options_.evicts) NextEviction();
    NextResend();
    for (int failure = 0; failure < kFailures; ++failure) {
      RunFor(static_cast<std::int64_t>(300 + Below(kCalm)));
      Fail();
    }
    loading_ = false;
    RunFor(2 * kPatience);
    for (int pass = 0; pass < 2; ++pass) {
      for (const std::string& key : keys_) Read({key}, true);
    }
  }

 private:
  std::uint64_t Below(std::uint64_t bound) { return random_.Below(bound); }
  std::int64_t Delay() { return 1 + static_cast<std::int64_t>(Below(kDelay)); }
  bool Slips(Bug bug) { return options_.bug == bug && Below(12) == 0; }

  // ---- Time ----
  struct Due {
    std::int64_t at;
    std::uint64_t order;
    std::function<void()> run;
    bool operator<(const Due& other) const {
      return std::pair(at, order) > std::pair(other.at, other.order);
    }
  };
  void After(std::int64_t span, std::function<void()> run) {
    heap_.push({now_ + span, ++order_, std::move(run)});
  }
  void RunFor(std::int64_t span) {
    const std::int64_t end = now_ + span;
    while (!heap_.empty() && heap_.top().at <= end) {
      const Due due = heap_.top();
      heap_.pop();
      now_ = due.at;
      due.run();
    }
    now_ = end;
  }

  // ---- The stream ----
  Copy& owner() { return copies_[owner_]; }

  void Apply(Copy& copy, const Group& group, std::size_t effects) {
    for (std::size_t i = 0; i < effects; ++i) {
      const Effect& effect = group.effects[i];
      copy.cells[effect.key] = {effect.value, group.at, group.stamp};
      const bool forgets = options_.bug == Bug::kForgottenRemoval && &copy == &owner();
      if (!effect.value && forgets) copy.cells.erase(effect.key);
    }
    copy.applied = group.at;
  }

  Position Order(std::vector<Effect> effects) {
    const Position previous = owner().applied;
    Group group{{term_, previous.term == term_ ? previous.number + 1 : 1},
                previous,
                ++stamp_,
                std::move(effects)};
    Apply(owner(), group, group.effects.size());
    kept_.push_back(group);
    if (kept_.size() > kKept) kept_.erase(kept_.begin());
    for (std::size_t copy = 0; copy < copies_.size(); ++copy) Send(copy, group);
    return group.at;
  }

  void Send(std::size_t index, const Group& group) {
    if (index == owner_ || !copies_[index].reachable || !owner_up_ || Below(5) == 0) return;
    const std::int64_t times = index + 1 == copies_.size() ? kSlowness : 1;
    After(times * Delay(), [this, index, group, term = term_] {
      if (term == term_ && copies_[index].reachable) OnGroup(index, group);
    });
  }

  void OnGroup(std::size_t index, const Group& group) {
    Copy& copy = copies_[index];
    if (group.at <= copy.applied) return Acknowledge(index, copy.applied);
    if (Slips(Bug::kSkippedGroup)) {
      copy.applied = group.at;  // as if it, and all before it, were there
    } else if (group.previous != copy.applied) {
      copy.early[group.previous] = group;
      if (options_.bug == Bug::kAckBeforePredecessor) Acknowledge(index, group.at);
      return;
    } else {
      Apply(copy, group, group.effects.size() - (Slips(Bug::kTornGroup) ? 1 : 0));
    }
    for (auto next = copy.early.find(copy.applied); next != copy.early.end();
         next = copy.early.find(copy.applied)) {
      Apply(copy, next->second, next->second.effects.size());
      copy.early.erase(next);
    }
    Acknowledge(index, copy.applied);
  }

  void Acknowledge(std::size_t index, Position position) {
    After(Delay(), [this, index, position, term = term_] {
      if (term != term_ || !owner_up_) return;
      acknowledged_[index] = std::max(acknowledged_[index], position);
      Release();
    });
  }

  void Release() {
    const auto is_safe = [this](const Waiting& each) {
      std::uint32_t have = 1;
      std::uint32_t live = 1;
      for (std::size_t i = 0; i < copies_.size(); ++i) {
        if (i == owner_ || !copies_[i].reachable) continue;
        ++live;
        if (acknowledged_[i] >= each.at) ++have;
      }
      return have >= std::min(options_.acks, live);
    };
    for (std::size_t i = 0; i < waiting_.size();) {
      if (!is_safe(waiting_[i])) {
        ++i;
        continue;
      }
      After(Delay(), waiting_[i].done);
      waiting_.erase(waiting_.begin() + static_cast<std::ptrdiff_t>(i));
    }
  }

  // A copy that is behind gets what is kept of the stream; if that does not reach back, all.
  void NextResend() {
    for (std::size_t i = 0; owner_up_ && i < copies_.size(); ++i) {
      const Copy& copy = copies_[i];
      if (i == owner_ || !copy.reachable || copy.applied >= owner().applied) continue;
      const bool reaches = !kept_.empty() && kept_.front().previous <= copy.applied;
      if (!reaches) {
        Compare(i);
        continue;
      }
      for (const Group& group : kept_) {
        if (group.at > copy.applied) Send(i, group);
      }
    }
    After(kResend, [this] { NextResend(); });
  }

  // ---- Failures ----
  void Fail() {
    const bool of_copy = copies_.size() > 2 && Below(4) == 0;
    const bool loses_all = !of_copy && Below(2) == 0;
    const std::size_t failed =
        of_copy ? (owner_ + 1 + Below(copies_.size() - 1)) % copies_.size() : owner_;
    history_.BeginCut(now_);
    copies_[failed].reachable = false;
    copies_[failed].early.clear();
    if (!of_copy) owner_up_ = false;
    RunFor(kDetection);
    if (of_copy) {
      Release();
    } else {
      TakeOver();
    }
    RunFor(static_cast<std::int64_t>(Below(kOutage)));
    if (loses_all) copies_[failed] = {};
    copies_[failed].reachable = true;
    Compare(failed);
    history_.EndCut(now_);
  }

  void TakeOver() {
    std::size_t heir = owner_;
    do {
      heir = (heir + 1) % copies_.size();
    } while (!copies_[heir].reachable);
    context_[term_] = copies_[heir].applied.term == term_ ? copies_[heir].applied.number : 0;
    // What it lacks of the old term it takes from who has it.
    std::size_t best = heir;
    for (std::size_t i = 0; i < copies_.size(); ++i) {
      if (copies_[i].reachable && copies_[i].applied > copies_[best].applied) best = i;
    }
    if (options_.bug == Bug::kContextTooNew) {
      context_[term_] = ~std::uint64_t{0};  // then nobody has what it lacks
    } else if (best != heir) {
      copies_[heir].cells = copies_[best].cells;
      copies_[heir].applied = copies_[best].applied;
      context_[term_] = copies_[heir].applied.term == term_ ? copies_[heir].applied.number : 0;
    }
    if (options_.bug == Bug::kContextTooOld) {
      context_[term_] -= std::min<std::uint64_t>(context_[term_], 60);
    }
    owner_ = heir;
    owner_up_ = true;
    ++term_;
    kept_.clear();
    waiting_.clear();  // nobody is told of them any more
    acknowledged_.clear();
    // The context stands for the removals of earlier terms.
    std::erase_if(owner().cells, [](const auto& cell) { return !cell.second.value; });
    for (Copy& copy : copies_) copy.early.clear();
    for (std::size_t i = 0; i < copies_.size(); ++i) {
      if (i != owner_ && copies_[i].reachable) Compare(i);
    }
  }

  bool Covers(Position position) const {
    if (position.term == term_) return true;
    const auto known = context_.find(position.term);
    return known != context_.end() && position.number <= known->second;
  }

  // `index` and the owner: what only the former has is taken or removed, then they are the same.
  void Compare(std::size_t index) {
    if (!owner_up_ || index == owner_) return;
    std::vector<Effect> taken;
    for (const auto& [key, cell] : copies_[index].cells) {
      if (Covers(cell.at)) continue;
      // A removal that the owner has not heard of is taken as well: else what was ordered after it
      // would be there without it.
      const auto own = owner().cells.find(key);
      const bool lacks = own == owner().cells.end();
      if (lacks ? cell.value.has_value() : own->second.stamp < cell.stamp) {
        taken.push_back({key, cell.value});
      }
    }
    if (!taken.empty()) Order(std::move(taken));
    copies_[index].cells = owner().cells;
    copies_[index].applied = owner().applied;
    copies_[index].early.clear();
    Acknowledge(index, owner().applied);
  }

  // ---- Clients ----
  std::int64_t Think() { return 5 + static_cast<std::int64_t>(Below(40)); }
  std::string KeyOf(int writer) {
    return "k" + std::to_string(writer) + "." + std::to_string(Below(kKeys));
  }

  void NextWrite(int writer) {
    if (!loading_) return;
    Write({KeyOf(writer)}, 0, [this, writer] { NextWrite(writer); });
  }
  void NextGroup() {
    if (!loading_) return;
    std::vector<std::string> keys;
    while (keys.size() < 2) {
      keys.clear();
      for (int i = 0; i < kGroupKeys; ++i) {
        if (Below(3) != 0) keys.push_back("g" + std::to_string(i));
      }
    }
    Write(keys, ++group_, [this] { NextGroup(); });
  }

  void Write(const std::vector<std::string>& keys, std::uint64_t group,
             const std::function<void()>& next) {
    auto operations = std::make_shared<std::vector<Operation>>();
    for (const std::string& key : keys) {
      if (std::find(keys_.begin(), keys_.end(), key) == keys_.end()) keys_.push_back(key);
      Operation operation{Below(4) == 0 ? Kind::kDelete : Kind::kSet, 1, key};
      operation.partition = kPartition;
      operation.group = group;
      operations->push_back(history_.Begin(operation, now_));
    }
    auto open = std::make_shared<bool>(true);
    const auto end = [this, operations, open,
                      next](void (History::*outcome)(const Operation&, std::int64_t)) {
      if (!std::exchange(*open, false)) return;
      for (const Operation& each : *operations) (history_.*outcome)(each, now_);
      After(Think(), next);
    };
    const auto acknowledge = [this, operations, open, next] {
      if (!std::exchange(*open, false)) return;
      for (const Operation& each : *operations) history_.Acknowledge(each, now_);
      After(Think(), next);
    };
    After(Delay(), [this, operations, end, acknowledge] {
      if (!owner_up_) return end(&History::Refuse);
      std::vector<Effect> effects;
      for (const Operation& each : *operations) {
        const bool sets = each.kind == Kind::kSet;
        effects.push_back({each.key, sets ? std::optional(each.number) : std::nullopt});
      }
      waiting_.push_back({Order(std::move(effects)), acknowledge});
      Release();
    });
    After(kPatience, [end] { end(&History::Unknown); });
  }

  void NextRead() {
    if (!loading_) return;
    std::vector<std::string> keys;
    for (const std::string& key : keys_) {
      if (Below(3) == 0) keys.push_back(key);
    }
    Read(keys, false);
    After(Think(), [this] { NextRead(); });
  }

  // All of `keys` in one step.
  void Read(const std::vector<std::string>& keys, bool is_final) {
    if (!owner_up_) return;
    if (!is_final) ++snapshot_;
    for (const std::string& key : keys) {
      const auto read = history_.BeginRead(9, key, now_, is_final ? 0 : snapshot_);
      const auto cell = owner().cells.find(key);
      const auto value = cell == owner().cells.end() ? std::nullopt : cell->second.value;
      history_.EndRead(read, {value, 0}, now_, nullptr, is_final);
    }
  }

  void NextEviction() {
    if (!loading_) return;
    std::vector<std::string> present;
    for (const auto& [key, cell] : owner().cells) {
      if (cell.value) present.push_back(key);
    }
    if (owner_up_ && !present.empty()) Order({{present[Below(present.size())], std::nullopt}});
    After(3 * Think(), [this] { NextEviction(); });
  }

  const ModelOptions options_;
  History& history_;
  Prng random_;
  std::priority_queue<Due> heap_;
  std::int64_t now_ = 1;
  std::uint64_t order_ = 0;

  std::vector<Copy> copies_;
  std::size_t owner_ = 0;
  bool owner_up_ = true;
  std::uint64_t term_ = 1;
  std::map<std::uint64_t, std::uint64_t> context_;  // term: the last number of it that was had
  std::vector<Group> kept_;                         // the end of the stream
  std::map<std::size_t, Position> acknowledged_;    // by copy
  std::vector<Waiting> waiting_;
  std::int64_t stamp_ = 0;

  bool loading_ = true;
  std::vector<std::string> keys_;
  std::uint64_t group_ = 0;
  std::uint64_t snapshot_ = 0;
};

}  // namespace

void RunStreamModel(const ModelOptions& options, History& history) {
  if (options.evicts) history.AllowMisses();
  Model(options, history).Run();
}

}  // namespace gyre::history
