#include "ops/ring_page.h"

#include <algorithm>
#include <map>
#include <vector>

#include "ops/metrics.h"

namespace gyre {
namespace {

constexpr std::size_t kShownIdChars = 8;

// Of one name: what stands above the samples, and the samples of all nodes.
struct Family {
  std::string head;
  std::string samples;
};

class Merger {
 public:
  void Add(std::string_view node, std::string_view page) {
    const std::string label = LabelText("node", node);
    Family* family = nullptr;
    bool first = false;
    while (!page.empty()) {
      const std::size_t end = std::min(page.find('\n'), page.size());
      const std::string_view line = page.substr(0, end);
      page.remove_prefix(std::min(end + 1, page.size()));
      if (line.starts_with(kHelp)) {
        family = &FamilyOf(line.substr(kHelp.size()), first);
      }
      if (family == nullptr || line.empty()) continue;
      if (line.front() != '#') {
        AddSample(line, label, family->samples);
      } else if (first) {
        family->head.append(line).append("\n");
      }
    }
  }

  void Take(std::string& out) {
    for (const std::string& name : order_) {
      const Family& family = families_.find(name)->second;
      out.append(family.head).append(family.samples);
    }
  }

 private:
  static constexpr std::string_view kHelp = "# HELP ";

  Family& FamilyOf(std::string_view help, bool& first) {
    const auto [at, added] = families_.try_emplace(std::string(help.substr(0, help.find(' '))));
    if (added) order_.push_back(at->first);
    first = added;
    return at->second;
  }

  static void AddSample(std::string_view line, std::string_view label, std::string& out) {
    const std::size_t name_end = line.find_first_of("{ ");
    if (name_end == std::string_view::npos || line.find(' ') == std::string_view::npos) return;
    out.append(line.substr(0, name_end)).append("{").append(label);
    std::string_view rest = line.substr(name_end);
    if (rest.front() == '{') {
      rest.remove_prefix(1);
      if (!rest.starts_with('}')) out += ',';
    } else {
      out += '}';
    }
    out.append(rest).append("\n");
  }

  std::map<std::string, Family, std::less<>> families_;
  std::vector<std::string> order_;
};

// As the label says it.
std::vector<std::string> NamesOf(std::span<const NodePage> pages) {
  std::map<std::string_view, int> count;
  for (const NodePage& page : pages) ++count[page.name];
  std::vector<std::string> names;
  for (const NodePage& page : pages) {
    const bool unique = count[page.name] == 1;
    names.push_back(unique ? page.name
                           : page.name + '#' + page.id.ToString().substr(0, kShownIdChars));
  }
  return names;
}

}  // namespace

std::string RingPage(std::span<const NodePage> pages) {
  const std::vector<std::string> names = NamesOf(pages);
  MetricsWriter up;
  Merger merger;
  for (std::size_t i = 0; i < pages.size(); ++i) {
    up.Gauge("gyre_node_up", "1 where the node answered with its metrics, in time.",
             pages[i].answered ? 1 : 0, {{"node", names[i]}});
    if (pages[i].answered) merger.Add(names[i], pages[i].page);
  }
  std::string text = up.Take();
  merger.Take(text);
  return text;
}

}  // namespace gyre
