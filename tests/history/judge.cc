#include "history/judge.h"

#include <algorithm>
#include <map>
#include <set>
#include <tuple>

namespace gyre::history {
namespace {

// What happens at the same time, in the order that accuses nobody: a write may have taken effect at
// once, and an acknowledgement binds only reads that begin after it. What touches a cut lies in it.
enum class Rank : std::uint8_t { kCut, kBegin, kReadBegins, kReadEnds, kOutcome, kHeal };

struct Step {
  std::int64_t at = 0;
  Rank rank = Rank::kBegin;
  std::size_t index = 0;  // of its event

  bool operator<(const Step& other) const {
    return std::tie(at, rank, index) < std::tie(other.at, other.rank, other.index);
  }
};

// Numbers of a register or of swaps are unique for a key, those of a counter for a client, too.
using Name = std::tuple<std::string, std::uint32_t, std::uint64_t>;

Name NameOf(const Event& event) {
  return {event.key, event.kind == Kind::kIncrement ? event.client + 1 : 0, *event.number};
}

std::vector<Step> StepsOf(const std::vector<Event>& events) {
  std::vector<Step> steps;
  std::set<Name> begun;
  for (std::size_t i = 0; i < events.size(); ++i) {
    const Event& event = events[i];
    if (event.is_cut()) {
      steps.push_back({event.start, event.what == What::kCut ? Rank::kCut : Rank::kHeal, i});
      continue;
    }
    if (event.what == What::kRead) {
      steps.push_back({event.start, Rank::kReadBegins, i});
      steps.push_back({event.end, Rank::kReadEnds, i});
      continue;
    }
    if (begun.insert(NameOf(event)).second) {
      steps.push_back({event.start, Rank::kBegin, i});
    }
    if (event.what != What::kIssue) steps.push_back({event.end, Rank::kOutcome, i});
  }
  std::sort(steps.begin(), steps.end());
  return steps;
}

}  // namespace

void Replay(const std::vector<Event>& events, History& history) {
  std::map<std::size_t, Read> reads;
  for (const Step& step : StepsOf(events)) {
    const Event& event = events[step.index];
    const Operation operation{event.kind,  event.client,   event.key,   event.number.value_or(0),
                              event.token, event.previous, event.start, event.partition,
                              event.group};
    switch (step.rank) {
      case Rank::kCut:
        history.BeginCut(step.at, event.is_divided ? Cut::kDivided : Cut::kSuccession);
        break;
      case Rank::kHeal:
        history.EndCut(step.at);
        break;
      case Rank::kBegin:
        (void)history.Begin(operation, step.at);
        break;
      case Rank::kReadBegins:
        reads[step.index] = history.BeginRead(event.client, event.key, step.at, event.group);
        break;
      case Rank::kReadEnds: {
        const auto read = reads.extract(step.index);
        history.EndRead(
            read.mapped(), {event.number, event.token}, step.at,
            [&event] { return "client " + std::to_string(event.client) + " " + event.note; },
            event.is_final);
        break;
      }
      case Rank::kOutcome:
        if (event.what == What::kAck) history.Acknowledge(operation, step.at, event.result);
        if (event.what == What::kUnknown) history.Unknown(operation, step.at);
        if (event.what == What::kRefuse) history.Refuse(operation, step.at);
        if (event.what == What::kLate) history.ExecutedLate(operation, step.at);
        break;
    }
  }
}

int Check(std::istream& in, const std::string& name, const CheckOptions& options,
          std::ostream& out) {
  std::string error;
  const auto events = ReadEvents(in, error);
  if (!events) {
    out << name << ": " << error << "\n";
    return 2;
  }
  History history(options.promise);
  if (options.evicts) history.AllowMisses();
  Replay(*events, history);
  out << name << ": " << history.keys().size() << " keys, " << history.acknowledged()
      << " acknowledged, " << history.unknown() << " unknown, " << history.refused() << " refused, "
      << history.reads() << " reads\n"
      << name << ": " << history.Checked() << "\n"
      << history.Report();
  if (const std::uint64_t beyond = history.violations().count_beyond(); beyond != 0) {
    out << name << ": " << beyond << " findings beyond what was promised:\n"
        << history.violations().ReportBeyond();
  }
  if (history.acknowledged() == 0 || history.reads() == 0) {
    out << name << ": nothing was acknowledged, or nothing read: it proves nothing\n";
    return 2;
  }
  const Violations& violations = history.violations();
  const std::uint64_t late = violations.count(Fault::kLate);
  const std::uint64_t counted = violations.count() - (options.allow_late ? late : 0);
  out << name << ": " << counted << " violations";
  if (options.allow_late && late != 0) out << ", " << late << " late effects allowed";
  out << "\n";
  return counted == 0 ? 0 : 1;
}

}  // namespace gyre::history
