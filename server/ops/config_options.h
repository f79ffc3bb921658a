// The table of gyred's options: one row each. Private to this module; see config.h.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
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

struct OptionValue {
  // Checks the text and stores it. The message says what is wrong with it, without the option's name.
  Status (*store)(const std::string& text, Config& config) = nullptr;
  // The text that `store` reads as the same value; empty: it is not set.
  std::string (*show)(const Config& config) = nullptr;
};

// How Redis reads a parameter, and words what is wrong with one.
enum class RedisKind : std::uint8_t { kText, kInteger, kBytes, kYesNo, kChoice, kImmutable };

struct RedisParameter {
  const char* name = nullptr;
  RedisKind kind = RedisKind::kText;
  // kInteger.
  std::int64_t least = 0;
  std::int64_t most = 0;
  // kChoice: the words, separated by ", ".
  std::string_view choices = {};
  // Its words, where they are not the option's own.
  std::string (*show)(const Config& config) = nullptr;
  std::string (*read)(std::string_view word) = nullptr;
};

// What CONFIG says of an option beside its value.
struct OptionParameter {
  // Its name there; null: as on the command line. Redis has a `port` as well, and means another.
  const char* parameter = nullptr;
  // Makes a value that was stored the one that counts. Null: it wants a restart.
  void (*apply)(const Config& config) = nullptr;
  // The parameter of Redis that means the same, for its clients and tools.
  RedisParameter redis;
};

struct Option {
  const char* name;   // "resp-port": the flag without dashes, and the key in the file
  const char* value;  // what stands for the value in --help
  OptionKind kind;
  const char* help;  // unit, default, consequence
  OptionValue access;
  OptionParameter config;

  std::string_view parameter() const { return config.parameter ? config.parameter : name; }
};

const std::vector<Option>& ConfigOptions();

// kInvalidArgument, in one line.
tl::unexpected<Error> Invalid(std::string message);

}  // namespace gyre
