// The TOML file of --config. Private to this module; see config.h.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include "proto/result.h"

namespace gyre {

struct FileEntry {
  std::string name;  // of an option
  std::string text;  // its value, as the command line would hold it
  int line = 0;
};

inline constexpr std::size_t kConfigFileBytesMax = std::size_t{1} << 20;

// Reads `path`. Errors name file, line and key: unreadable, not TOML, an unknown key, a value of
// the wrong type.
Result<std::vector<FileEntry>> ReadConfigFile(const std::string& path);
// The same of a file's text; `path` is for the messages.
Result<std::vector<FileEntry>> ParseConfigText(std::string_view text, const std::string& path);

}  // namespace gyre
