// A number that may be unknown, in JSON.
#pragma once

#include <optional>

namespace gyre {

// `Json`: one of nlohmann's.
template <typename Json>
Json OrNull(const std::optional<double>& number) {
  return number ? Json(*number) : Json(nullptr);
}

}  // namespace gyre
