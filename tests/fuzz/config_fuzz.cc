// Any configuration file and any command line gives a configuration that keeps its bounds, or an
// error of one line. The first byte chooses which of them the rest is.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>
#include <vector>

#include "ops/config.h"
#include "ops/config_file.h"

namespace {

using namespace gyre;  // NOLINT(google-build-using-namespace): a program of one file

void Require(bool holds) {
  if (!holds) std::abort();
}

template <typename T>
void RequireReadable(const Result<T>& result) {
  Require(result || !result.error().message.empty());
}

void ReadCommandLine(std::string_view bytes) {
  constexpr std::size_t kArgumentsMax = 16;
  std::vector<std::string> words{"gyred"};
  while (!bytes.empty() && words.size() < kArgumentsMax) {
    const std::string_view word = bytes.substr(0, bytes.find('\0'));
    bytes.remove_prefix(std::min(bytes.size(), word.size() + 1));
    // Files are not this target's: they would be read for real.
    if (word.find("conf") == std::string_view::npos) words.emplace_back(word);
  }
  std::vector<const char*> arguments;
  for (const std::string& word : words) arguments.push_back(word.c_str());
  const auto parsed = ParseConfig(static_cast<int>(arguments.size()), arguments.data());
  RequireReadable(parsed);
  if (!parsed || parsed->action != ParsedCommandLine::Action::kRun) return;
  const Config& config = parsed->config;
  Require(config.memory_bytes >= kMemoryBytesMin && config.value_bytes_max > 0);
  Require(config.value_bytes_max <= config.memory_bytes / 2);
  Require(config.threads >= 1 && config.threads <= kThreadsMax);
  Require(config.write_acks <= config.replicas && config.weight <= kWeightOptionMax);
  Require(!config.name.empty() && config.name.size() <= kNameBytesMax);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  const std::string_view bytes(reinterpret_cast<const char*>(data) + 1, size - 1);
  switch (data[0] % 3) {
    case 0:
      RequireReadable(ParseConfigText(bytes, "gyred.toml"));
      break;
    case 1:
      ReadCommandLine(bytes);
      break;
    default:
      RequireReadable(ParseBytes(std::string(bytes)));
      RequireReadable(ParseDuration(std::string(bytes)));
      RequireReadable(ParseHostPort(std::string(bytes)));
  }
  return 0;
}
