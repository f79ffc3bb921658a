// What an operator asks of the ring's settings (settings/settings.h).
#pragma once

#include <optional>
#include <string>

namespace gyre {

struct SettingChange {
  std::string name;
  std::optional<std::string> value;  // none: unset it
};

}  // namespace gyre
