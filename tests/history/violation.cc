#include "history/violation.h"

#include <utility>

namespace gyre::history {

std::string_view NameOf(Fault fault) {
  static constexpr std::array<std::string_view, static_cast<std::size_t>(Fault::kCount)> kNames = {
      "lost",     "resurrected", "invented",  "late",         "diverged",   "overcounted",
      "repeated", "two winners", "forked",    "token reused", "unreadable", "partial",
      "torn",     "reordered",   "regressed", "returned",     "other"};
  return kNames[static_cast<std::size_t>(fault)];
}

void Violations::Add(Fault fault, std::string key, std::string text) {
  ++counts_[static_cast<std::size_t>(fault)];
  const bool promised = Promises(level_, fault);
  std::vector<Violation>& list = promised ? kept_ : beyond_;
  if (list.size() < kKept) list.push_back({fault, std::move(key), std::move(text), found_});
  if (promised) ++count_;
  ++found_;
}

void Violations::Annotate(std::uint64_t since, const std::string& note) {
  for (std::vector<Violation>* list : {&kept_, &beyond_}) {
    for (auto each = list->rbegin(); each != list->rend() && each->found >= since; ++each) {
      each->text += " (" + note + ")";
    }
  }
}

std::string Violations::Report() const { return Lines(kept_, count_); }
std::string Violations::ReportBeyond() const { return Lines(beyond_, count_beyond()); }

std::string Violations::Lines(const std::vector<Violation>& kept, std::uint64_t count) {
  std::string report;
  for (const Violation& each : kept) {
    report += std::string(NameOf(each.fault)) + ": " + each.text + "\n";
  }
  if (count > kept.size()) report += "and " + std::to_string(count - kept.size()) + " more\n";
  return report;
}

}  // namespace gyre::history
