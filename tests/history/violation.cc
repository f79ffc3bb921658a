#include "history/violation.h"

#include <utility>

namespace gyre::history {

std::string_view NameOf(Fault fault) {
  static constexpr std::array<std::string_view, static_cast<std::size_t>(Fault::kCount)> kNames = {
      "lost",     "resurrected", "invented", "late",         "diverged",   "overcounted",
      "repeated", "two winners", "forked",   "token reused", "unreadable", "other"};
  return kNames[static_cast<std::size_t>(fault)];
}

void Violations::Add(Fault fault, std::string key, std::string text) {
  ++count_;
  ++counts_[static_cast<std::size_t>(fault)];
  if (kept_.size() < kKept) kept_.push_back({fault, std::move(key), std::move(text)});
}

void Violations::Annotate(std::uint64_t since, const std::string& note) {
  for (std::size_t i = since; i < kept_.size(); ++i) kept_[i].text += " (" + note + ")";
}

std::string Violations::Report() const {
  std::string report;
  for (const Violation& each : kept_) {
    report += std::string(NameOf(each.fault)) + ": " + each.text + "\n";
  }
  if (count_ > kept_.size()) {
    report += "and " + std::to_string(count_ - kept_.size()) + " more\n";
  }
  return report;
}

}  // namespace gyre::history
