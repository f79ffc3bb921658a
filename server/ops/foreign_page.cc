#include "ops/foreign_page.h"

#include <algorithm>
#include <cassert>
#include <iterator>

namespace gyre {

void ForeignPage::Place(std::initializer_list<std::string_view> names) {
  for (const std::string_view name : names) {
    const auto found = std::find_if(known_.begin(), known_.end(),
                                    [name](const auto& field) { return field.first == name; });
    assert(found != known_.end());
    if (found == known_.end()) continue;
    fields_.push_back(std::move(*found));
    known_.erase(found);
  }
}

Fields ForeignPage::Take() {
  std::move(known_.begin(), known_.end(), std::back_inserter(fields_));
  known_.clear();
  return std::move(fields_);
}

}  // namespace gyre
