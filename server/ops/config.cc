#include "ops/config.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sched.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <map>
#include <optional>
#include <sstream>
#include <thread>
#include <utility>

#include "command/arguments.h"
#include "crypto/keyring.h"
#include "ops/config_file.h"
#include "ops/config_options.h"

namespace gyre {
namespace {

// Cores that this process may use, not those that the machine has.
std::uint32_t UsableCores() {
  cpu_set_t set;
  CPU_ZERO(&set);
  if (sched_getaffinity(0, sizeof set, &set) != 0) return 1;
  return std::clamp(static_cast<std::uint32_t>(CPU_COUNT(&set)), 1U, kThreadsMax);
}

std::string DefaultName(std::uint16_t port) {
  char host[HOST_NAME_MAX + 1] = "node";
  gethostname(host, sizeof host - 1);
  const std::string suffix = '-' + std::to_string(port);
  return std::string(host).substr(0, kNameBytesMax - suffix.size()) + suffix;
}

struct Given {
  const Option* option = nullptr;
  std::string text;
  ConfigSource source = ConfigSource::kFlag;
  std::string where;  // for people: "--port", "GYRE_PORT", "a.toml:3: port"
};

struct CommandLine {
  std::vector<Given> values;  // in the table's order
  std::string config_path;
  std::string print;  // --help, --version, --gen-gossip-key
  bool healthcheck = false;
};

Result<CommandLine> ReadCommandLine(int argc, const char* const* argv) {
  CLI::App app{
      "gyred: a node of a Gyre cache cluster.\n"
      "Sizes are like 256MiB or 1g, durations like 500ms or 5m. Each option that has a default is "
      "an "
      "environment variable, too: GYRE_RESP_PORT=6379 is --resp-port 6379, GYRE_INSECURE=true "
      "--insecure. A flag wins over the environment, and that over the file of --config."};
  app.set_version_flag("--version", "gyred " GYRE_VERSION);
  bool generate_key = false;
  app.add_flag("--gen-gossip-key", generate_key,
               "Print a new key for the file of --gossip-key, and exit.");
  CommandLine line;
  app.add_flag("--healthcheck", line.healthcheck,
               "Ask the node that runs with the same options whether it is ready, by its "
               "--http-port, and exit: 0 it is, 1 it is not.");
  std::map<std::string, std::vector<std::string>> given;
  for (const Option& option : ConfigOptions()) {
    if (option.kind == OptionKind::kFlag) {
      app.add_flag_callback(
          "--" + std::string(option.name),
          [&given, &option] { given[option.name].emplace_back("true"); }, option.help);
      continue;
    }
    auto* flag = app.add_option("--" + std::string(option.name), given[option.name], option.help);
    flag->type_name(option.value);
    flag->expected(1);
    flag->allow_extra_args(false);  // one value each: what follows is not swallowed
    flag->multi_option_policy(option.kind == OptionKind::kList ? CLI::MultiOptionPolicy::TakeAll
                                                               : CLI::MultiOptionPolicy::TakeLast);
  }
  app.add_option(
         "--config", line.config_path,
         "TOML file with the same names: resp-port = 6379, memory = \"1GiB\". Default: none.")
      ->type_name("FILE");
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    std::ostringstream out;
    std::ostringstream ignored;
    if (error.get_exit_code() != 0) {
      return Invalid(std::string(error.what()) + " (see gyred --help)");
    }
    app.exit(error, out, ignored);
    line.print = out.str();
    return line;
  }
  if (generate_key) line.print = GenerateGossipKey() + '\n';
  for (const Option& option : ConfigOptions()) {
    for (const std::string& text : given[option.name]) {
      line.values.push_back({&option, text, ConfigSource::kFlag, "--" + std::string(option.name)});
    }
  }
  return line;
}

// Kubernetes tells a pod of each Service by such a variable, of ours too where one is called "gyre".
bool IsOfKubernetes(std::string_view text) {
  return text.starts_with("tcp://") || text.starts_with("udp://");
}

// An empty variable is none: that is how a compose file leaves one out.
std::optional<std::string> Variable(const Surroundings& surroundings, const std::string& name) {
  const char* text = surroundings.variable(name.c_str());
  if (text == nullptr || *text == '\0') return std::nullopt;
  return text;
}

std::vector<Given> ReadEnvironment(const Surroundings& surroundings) {
  std::vector<Given> values;
  for (const Option& option : ConfigOptions()) {
    const std::string name = VariableOf(option.name);
    std::optional<std::string> text = Variable(surroundings, name);
    if (!text || (option.kind == OptionKind::kNumber && IsOfKubernetes(*text))) continue;
    if (option.kind == OptionKind::kFlag && *text == "1") text = "true";
    if (option.kind == OptionKind::kFlag && *text == "0") text = "false";
    values.push_back({&option, std::move(*text), ConfigSource::kEnvironment, name});
  }
  return values;
}

Result<std::vector<Given>> ReadFile(const std::string& path) {
  const Result<std::vector<FileEntry>> entries = ReadConfigFile(path);
  if (!entries) return tl::unexpected(entries.error());
  std::vector<Given> values;
  for (const FileEntry& entry : *entries) {
    const std::string where = path + ':' + std::to_string(entry.line) + ": " + entry.name;
    for (const Option& option : ConfigOptions()) {
      if (entry.name == option.name)
        values.push_back({&option, entry.text, ConfigSource::kFile, where});
    }
  }
  return values;
}

Status Store(const std::vector<Given>& values, Config& config) {
  std::optional<ConfigSource> list_from;
  for (const Given& given : values) {
    // A list takes the place of that of another source, whole.
    if (given.option->kind == OptionKind::kList &&
        std::exchange(list_from, given.source) != given.source) {
      config.join.clear();
    }
    if (Status status = given.option->access.store(given.text, config); !status) {
      return Invalid(given.where + ": " + status.error().message);
    }
  }
  return {};
}

bool Says(const std::vector<Given>& values, std::string_view name) {
  return std::any_of(values.begin(), values.end(),
                     [name](const Given& given) { return given.option->name == name; });
}

// What others are told must be something that they can mean, and who is reached from other machines
// must know its friends.
Status CheckAddresses(const Config& config) {
  const std::string& told = config.advertise.host;
  if (IsUnspecified(told)) {
    return Invalid((told == config.host ? "--host " : "--advertise ") + told +
                   " is no address that others can be told: say which reaches this node with "
                   "--advertise HOST[:PORT]");
  }
  const bool alone = IsLoopback(config.host) && IsLoopback(told);
  if (alone || config.insecure || !config.gossip_key.empty()) return {};
  return Invalid("--host " + config.host + (told == config.host ? "" : " --advertise " + told) +
                 " is reached from other machines, where without a key anybody can take the ring: "
                 "start all nodes with --gossip-key FILE (gyred --gen-gossip-key > FILE makes "
                 "one), or say --insecure");
}

// What concerns several options.
Status CheckTogether(const Config& config) {
  if (Status addresses = CheckAddresses(config); !addresses) return addresses;
  if (config.write_acks > config.replicas) {
    return Invalid("--write-acks " + std::to_string(config.write_acks) +
                   " is more than --replicas " + std::to_string(config.replicas) +
                   ": a write cannot have more copies than records");
  }
  if (config.snapshot_on_exit && config.data_dir.empty()) {
    return Invalid("--snapshot-on-exit needs --data-dir: a snapshot stands there");
  }
  if (config.value_bytes_max > config.memory_bytes / 2) {
    return Invalid(
        "--max-value is more than half of --memory: raise --memory or lower --max-value");
  }
  // As in ValueBytesWithin.
  const std::size_t client_memory_needed = (config.value_bytes_max + kFrameSlackBytes) / 7 * 8;
  if (client_memory_needed > config.client_memory_bytes) {
    return Invalid(
        "--max-value exceeds what --client-memory has room for: raise --client-memory to " +
        std::to_string((client_memory_needed >> 20) + 1) + "MiB or more, or lower --max-value");
  }
  const std::pair<const char*, std::uint16_t> ports[] = {
      {"--port", config.port},
      {"--resp-port", config.resp_port},
      {"--resp-cluster-port", config.resp_cluster_port},
      {"--memcached-port", config.memcached_port},
      {"--http-port", config.http_port},
      {"--agent-port", config.agent_port},
  };
  for (const auto& one : ports) {
    for (const auto& other : ports) {
      if (&one < &other && one.second != 0 && one.second == other.second) {
        return Invalid(std::string(one.first) + " and " + other.first + " are both " +
                       std::to_string(one.second) + ": choose another for one of them");
      }
    }
  }
  return {};
}

// Of a control group's limit, what is left for the process itself, the kernel's buffers of its
// connections, and the cached files.
constexpr std::size_t kUnplannedFraction = 4;
// Of the rest, what clients get; the records have the others.
constexpr std::size_t kClientsFraction = 5;

// Where a control group has less than the machine, and nobody said how much --memory is: most of it.
void TakeShareOfLimit(std::size_t limit_bytes, Config& config) {
  const std::size_t planned = limit_bytes - limit_bytes / kUnplannedFraction;
  if (config.client_memory_bytes == 0) {
    config.client_memory_bytes = std::max(planned / kClientsFraction, kClientMemoryBytesMin);
  }
  const std::size_t left = planned - std::min(planned, config.client_memory_bytes);
  config.memory_bytes = std::max(left, kMemoryBytesMin);
  config.memory_is_share = true;
}

// The largest value that comes in as one block, of those that leave an eighth to others
// (client_memory.h).
std::size_t ValueBytesWithin(std::size_t client_memory_bytes) {
  return client_memory_bytes / 8 * 7 - kFrameSlackBytes;
}

void FillDefaults(const std::vector<Given>& said, std::size_t memory_limit_bytes, Config& config) {
  config.memory_limit_bytes = memory_limit_bytes;
  if (config.advertise.host.empty()) config.advertise.host = config.host;
  if (config.advertise.port == 0) config.advertise.port = config.port;
  if (config.name.empty()) config.name = DefaultName(config.port);
  if (memory_limit_bytes > 0 && !Says(said, "memory")) {
    TakeShareOfLimit(memory_limit_bytes, config);
  }
  if (config.value_bytes_max == 0) {
    config.value_bytes_max = std::min(kValueBytesDefaultMax, config.memory_bytes / 2);
    if (config.memory_is_share) {
      config.value_bytes_max =
          std::min(config.value_bytes_max, ValueBytesWithin(config.client_memory_bytes));
    }
  }
  if (config.client_memory_bytes == 0) {
    config.client_memory_bytes = std::max(kClientMemoryBytesDefault, config.memory_bytes / 4);
  }
}

}  // namespace

bool IsLoopback(const std::string& host) {
  in_addr address{};
  if (inet_pton(AF_INET, host.c_str(), &address) == 1) return ntohl(address.s_addr) >> 24 == 127;
  in6_addr wide{};
  if (inet_pton(AF_INET6, host.c_str(), &wide) == 1) return IN6_IS_ADDR_LOOPBACK(&wide) != 0;
  return host == "localhost";
}

bool IsUnspecified(const std::string& host) {
  in_addr address{};
  if (inet_pton(AF_INET, host.c_str(), &address) == 1) return address.s_addr == 0;
  in6_addr wide{};
  return inet_pton(AF_INET6, host.c_str(), &wide) == 1 && IN6_IS_ADDR_UNSPECIFIED(&wide) != 0;
}

std::string VariableOf(const std::string& option) {
  std::string name = "GYRE_" + ToUpper(option);
  std::replace(name.begin(), name.end(), '-', '_');
  return name;
}

Result<ParsedCommandLine> ParseConfig(int argc, const char* const* argv,
                                      const Surroundings& surroundings) {
  Result<CommandLine> line = ReadCommandLine(argc, argv);
  if (!line) return tl::unexpected(line.error());
  ParsedCommandLine parsed;
  if (!line->print.empty()) {
    parsed.action = ParsedCommandLine::Action::kPrint;
    parsed.text = std::move(line->print);
    return parsed;
  }
  if (line->healthcheck) parsed.action = ParsedCommandLine::Action::kHealthcheck;
  if (line->config_path.empty()) {
    line->config_path = Variable(surroundings, VariableOf("config")).value_or("");
  }
  std::vector<Given> said;
  if (!line->config_path.empty()) {
    Result<std::vector<Given>> file = ReadFile(line->config_path);
    if (!file) return tl::unexpected(file.error());
    said = std::move(*file);
  }
  for (Given& given : ReadEnvironment(surroundings)) said.push_back(std::move(given));
  for (Given& given : line->values) said.push_back(std::move(given));

  Config& config = parsed.config;
  config.threads = UsableCores();
  if (Status stored = Store(said, config); !stored) return tl::unexpected(stored.error());
  for (const Given& given : said) parsed.sources[given.option->name] = given.source;
  FillDefaults(said, surroundings.memory_limit_bytes, config);
  if (Status status = CheckTogether(config); !status) return tl::unexpected(status.error());
  return parsed;
}

}  // namespace gyre
