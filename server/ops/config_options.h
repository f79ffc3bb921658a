// The table of gyred's options: one row each. Private to this module; see config.h.
#pragma once

#include <string>
#include <vector>

#include "ops/config.h"
#include "proto/result.h"

namespace gyre {

// What a configuration file may hold for it. The command line always holds text.
enum class OptionKind : std::uint8_t {
  kText,    // a string
  kNumber,  // an integer
  kAmount,  // a string with its unit, or an integer (bytes) or 0
  kFlag,    // true or false; on the command line without a value
  kList,    // an array of strings, or one string with commas
};

struct Option {
  const char* name;   // "resp-port": the flag without dashes, and the key in the file
  const char* value;  // what stands for the value in --help
  OptionKind kind;
  const char* help;  // unit, default, consequence
  // Checks `text` and stores it. The message says what is wrong with it, without the option's name.
  Status (*store)(const std::string& text, Config& config);
};

const std::vector<Option>& ConfigOptions();

// kInvalidArgument, in one line.
tl::unexpected<Error> Invalid(std::string message);

}  // namespace gyre
