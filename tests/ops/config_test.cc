#include "ops/config.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <limits>
#include <map>
#include <string>
#include <vector>

#include "ops/config_options.h"

namespace gyre {
namespace {

using std::chrono::hours;
using std::chrono::milliseconds;
using std::chrono::minutes;
using std::chrono::seconds;

Result<ParsedCommandLine> Parse(std::vector<std::string> arguments) {
  std::vector<const char*> argv = {"gyred"};
  for (const std::string& argument : arguments) argv.push_back(argument.c_str());
  return ParseConfig(static_cast<int>(argv.size()), argv.data());
}

Config Valid(std::vector<std::string> arguments) {
  auto parsed = Parse(std::move(arguments));
  EXPECT_TRUE(parsed) << parsed.error().message;
  return parsed ? parsed->config : Config{};
}

std::string ErrorOf(std::vector<std::string> arguments) {
  const auto parsed = Parse(std::move(arguments));
  EXPECT_FALSE(parsed);
  if (parsed) return "";
  EXPECT_EQ(parsed.error().message.find('\n'), std::string::npos) << "one line";
  return parsed.error().message;
}

// ---- Values ------------------------------------------------------------------------------------

TEST(ParseBytesTest, KnowsUnits) {
  const struct {
    const char* text;
    std::size_t bytes;
  } cases[] = {{"0", 0},
               {"1048576", 1048576},
               {"10b", 10},
               {"10KB", 10240},
               {"64M", 64 << 20},
               {"256MiB", 256 << 20},
               {"1g", 1 << 30},
               {"3GIB", std::size_t{3} << 30},
               {"2t", std::size_t{2} << 40},
               {"18446744073709551615", std::numeric_limits<std::size_t>::max()}};
  for (const auto& c : cases) {
    const auto bytes = ParseBytes(c.text);
    ASSERT_TRUE(bytes) << c.text;
    EXPECT_EQ(*bytes, c.bytes) << c.text;
  }
  for (const char* text : {"", "M", "-1", "+1", "1.5G", "1 G", " 1G", "1GG", "1iB", "1MiBs", "0x10",
                           "18446744073709551616", "16777216t", "99999999999g"}) {
    EXPECT_FALSE(ParseBytes(text)) << text;
  }
}

TEST(ParseDurationTest, KnowsUnits) {
  const struct {
    const char* text;
    Duration duration;
  } cases[] = {{"0", Duration::zero()},
               {"500ms", milliseconds(500)},
               {"10s", seconds(10)},
               {"5m", minutes(5)},
               {"1h30m", minutes(90)},
               {"2d", hours(48)},
               {"1m1s1ms", milliseconds(61'001)}};
  for (const auto& c : cases) {
    const auto duration = ParseDuration(c.text);
    ASSERT_TRUE(duration) << c.text;
    EXPECT_EQ(*duration, c.duration) << c.text;
  }
  for (const char* text : {"", "5", "m", "-5m", "5 m", "5M", "1.5h", "5mm", "4000d",
                           "99999999999999999999s", "3650d3650d"}) {
    EXPECT_FALSE(ParseDuration(text)) << text;
  }
}

TEST(ParseHostPortTest, KnowsNamesAndAddresses) {
  const struct {
    const char* text;
    HostPort expected;
  } cases[] = {{"127.0.0.1:7700", {"127.0.0.1", 7700}},
               {"node-a:1", {"node-a", 1}},
               {"[::1]:65535", {"::1", 65535}}};
  for (const auto& c : cases) {
    const auto parsed = ParseHostPort(c.text);
    ASSERT_TRUE(parsed) << c.text;
    EXPECT_EQ(*parsed, c.expected);
  }
  for (const char* text : {"", "host", ":1", "host:", "host:0", "host:65536", "host:1x", "::1:7700",
                           "[]:1", "host:-1"}) {
    EXPECT_FALSE(ParseHostPort(text)) << text;
  }
}

// ---- Command line ------------------------------------------------------------------------------

TEST(CommandLineTest, ASmallMemoryLowersTheLargestValueByItself) {
  EXPECT_EQ(Valid({"--memory", "16MiB"}).value_bytes_max, std::size_t{8} << 20);
  EXPECT_EQ(Valid({"--memory", "1GiB"}).value_bytes_max, std::size_t{16} << 20);
}

TEST(CommandLineTest, ClientMemoryIsAQuarterOfALargeMemory) {
  EXPECT_EQ(Valid({"--memory", "64MiB"}).client_memory_bytes, std::size_t{64} << 20);
  EXPECT_EQ(Valid({"--memory", "1GiB"}).client_memory_bytes, std::size_t{256} << 20);
  EXPECT_EQ(Valid({"--client-memory", "100MiB"}).client_memory_bytes, std::size_t{100} << 20);
}

TEST(CommandLineTest, HasTheDefaultsOfTheDesign) {
  const Config config = Valid({});
  EXPECT_EQ(config.host, "127.0.0.1");
  EXPECT_EQ(config.port, 7700);
  EXPECT_EQ(config.resp_port, 6379);
  EXPECT_EQ(config.resp_cluster_port, 7379);
  EXPECT_EQ(config.memcached_port, 11211);
  EXPECT_EQ(config.http_port, 7780);
  EXPECT_EQ(config.memory_bytes, std::size_t{256} << 20);
  EXPECT_EQ(config.value_bytes_max, std::size_t{16} << 20);
  EXPECT_GE(config.threads, 1U);
  EXPECT_EQ(config.connections_max, 0U);
  EXPECT_EQ(config.connections_of_address_max, 0U);
  EXPECT_EQ(config.idle_timeout, Duration{});
  EXPECT_EQ(config.replicas, 2U);
  EXPECT_EQ(config.write_acks, 1U);
  EXPECT_EQ(config.partitions, 1024U);
  EXPECT_EQ(config.consistency, Consistency::kAvailable);
  EXPECT_EQ(config.evict_after, minutes(5));
  EXPECT_EQ(config.stop_timeout, seconds(25));
  EXPECT_EQ(config.cluster_name, "gyre");
  EXPECT_TRUE(config.join.empty());
  EXPECT_TRUE(config.data_dir.empty());
  EXPECT_TRUE(config.name.ends_with("-7700")) << config.name;
}

TEST(CommandLineTest, TakesEveryFlag) {
  const Config config = Valid({"--name",
                               "n1",
                               "--host",
                               "::1",
                               "--port",
                               "7701",
                               "--resp-port",
                               "0",
                               "--http-port=8",
                               "--join",
                               "a:1,b:2",
                               "--join",
                               "[::1]:3,a:1",
                               "--memory",
                               "64m",
                               "--threads",
                               "3",
                               "--max-connections",
                               "500",
                               "--max-connections-per-address",
                               "40",
                               "--idle-timeout",
                               "90s",
                               "--replicas",
                               "3",
                               "--write-acks",
                               "2",
                               "--zone",
                               "a",
                               "--weight",
                               "4",
                               "--data-dir",
                               "/tmp/x",
                               "--log-level",
                               "debug",
                               "--log-format",
                               "json",
                               "--max-value",
                               "1MiB",
                               "--cluster-name",
                               "blue",
                               "--evict-after",
                               "90s",
                               "--tombstone-ttl",
                               "1h",
                               "--rebalance-limit",
                               "50MiB",
                               "--scale-out-load",
                               "80",
                               "--scale-in-load",
                               "40",
                               "--scale-out-hits",
                               "8",
                               "--scale-in-hits",
                               "0",
                               "--scale-out-window",
                               "30s",
                               "--scale-in-window",
                               "10m",
                               "--scale-cooldown",
                               "7m",
                               "--network-limit",
                               "120MiB",
                               "--stop-timeout",
                               "40s",
                               "--partitions",
                               "64",
                               "--consistency",
                               "majority",
                               "--resp-cluster-port",
                               "9",
                               "--memcached-port",
                               "10"});
  EXPECT_EQ(config.name, "n1");
  EXPECT_EQ(config.host, "::1");
  EXPECT_EQ(config.port, 7701);
  EXPECT_EQ(config.resp_port, 0);
  EXPECT_EQ(config.resp_cluster_port, 9);
  EXPECT_EQ(config.memcached_port, 10);
  EXPECT_EQ(config.http_port, 8);
  EXPECT_EQ(config.join, (std::vector<HostPort>{{"a", 1}, {"b", 2}, {"::1", 3}}));
  EXPECT_EQ(config.memory_bytes, std::size_t{64} << 20);
  EXPECT_EQ(config.value_bytes_max, std::size_t{1} << 20);
  EXPECT_EQ(config.threads, 3U);
  EXPECT_EQ(config.connections_max, 500U);
  EXPECT_EQ(config.connections_of_address_max, 40U);
  EXPECT_EQ(config.idle_timeout, std::chrono::seconds(90));
  EXPECT_EQ(config.replicas, 3U);
  EXPECT_EQ(config.write_acks, 2U);
  EXPECT_EQ(config.zone, "a");
  EXPECT_EQ(config.weight, 4U);
  EXPECT_EQ(config.data_dir, "/tmp/x");
  EXPECT_EQ(config.log_level, "debug");
  EXPECT_EQ(config.log_format, LogFormat::kJson);
  EXPECT_EQ(config.cluster_name, "blue");
  EXPECT_EQ(config.evict_after, seconds(90));
  EXPECT_EQ(config.tombstone_ttl, hours(1));
  EXPECT_EQ(config.rebalance_limit, std::size_t{50} << 20);
  EXPECT_EQ(config.scale_out_load, 80U);
  EXPECT_EQ(config.scale_in_load, 40U);
  EXPECT_EQ(config.scale_out_hits, 8U);
  EXPECT_EQ(config.scale_in_hits, 0U);
  EXPECT_EQ(config.scale_out_window, seconds(30));
  EXPECT_EQ(config.scale_in_window, std::chrono::minutes(10));
  EXPECT_EQ(config.scale_cooldown, std::chrono::minutes(7));
  EXPECT_EQ(config.network_limit, std::size_t{120} << 20);
  EXPECT_EQ(config.stop_timeout, seconds(40));
  EXPECT_EQ(config.partitions, 64U);
  EXPECT_EQ(config.consistency, Consistency::kMajority);
}

TEST(CommandLineTest, AFlagWithoutAValue) {
  EXPECT_FALSE(Valid({}).snapshot_on_exit);
  const Config config = Valid({"--snapshot-on-exit", "--data-dir", "/tmp/x"});
  EXPECT_TRUE(config.snapshot_on_exit);
  EXPECT_EQ(config.data_dir, "/tmp/x");
  EXPECT_NE(ErrorOf({"--snapshot-on-exit"}).find("needs --data-dir"), std::string::npos);
}

TEST(CommandLineTest, TheLastOfARepeatedFlagCounts) {
  EXPECT_EQ(Valid({"--port", "1000", "--port", "2000"}).port, 2000);
}

TEST(CommandLineTest, ExplainsWhatIsWrong) {
  const struct {
    std::vector<std::string> arguments;
    const char* message;  // part of it
  } cases[] = {
      {{"--port", "70000"}, "--port: '70000' is not a number from 1 to 65535"},
      {{"--port", "0"}, "--port: '0' is not a number from 1 to 65535"},
      {{"--resp-port", "-1"}, "--resp-port: '-1' is not a number from 0 to 65535"},
      {{"--http-port", "80x"}, "--http-port: '80x' is not a number"},
      {{"--memory", "lots"}, "--memory: 'lots' is not a size"},
      {{"--memory", "1k"}, "--memory: '1k' is too little: at least 8MiB"},
      {{"--max-value", "1g"}, "--max-value: '1g' is too much: at most 512MiB"},
      {{"--data-dir", "d", "stray"}, "stray"},
      {{"--max-value", "200m"}, "--max-value is more than half of --memory"},
      {{"--client-memory", "1m"}, "--client-memory: '1m' is too little: at least 4MiB"},
      {{"--max-value", "64m"}, "--max-value exceeds what --client-memory has room for"},
      {{"--client-memory", "16m"}, "raise --client-memory to 19MiB or more, or lower --max-value"},
      {{"--replicas", "8"}, "--replicas: '8' is not a number from 1 to 7"},
      {{"--replicas", "2", "--write-acks", "3"}, "--write-acks 3 is more than --replicas 2"},
      {{"--weight", "0"}, "--weight: '0' is not a number from 1 to 1024"},
      {{"--threads", "0"}, "--threads: '0' is not a number from 1"},
      {{"--name", "a b"}, "--name: 'a b' is not a name"},
      {{"--name", ""}, "--name: '' is not a name"},
      {{"--name", std::string(65, 'x')}, "is not a name: use up to 64"},
      {{"--zone", "a/b"}, "--zone: 'a/b' is not a name"},
      {{"--host", "a host"}, "--host: 'a host' is not an address"},
      {{"--join", "nowhere"}, "--join: 'nowhere' is not HOST:PORT"},
      {{"--partitions", "1000"}, "--partitions: '1000' is not a power of two"},
      {{"--partitions", "32768"}, "--partitions: '32768' is not a number from 1 to 16384"},
      {{"--consistency", "strict"}, "--consistency: 'strict' is neither available nor majority"},
      {{"--evict-after", "300"}, "--evict-after: '300' is not a duration"},
      {{"--evict-after", "0"}, "--evict-after: '0' is too short"},
      {{"--log-level", "loud"}, "--log-level: 'loud' is no level"},
      {{"--log-format", "xml"}, "--log-format: 'xml' is neither text nor json"},
      {{"--resp-port", "7700"}, "--port and --resp-port are both 7700"},
      {{"--no-such-flag"}, "--no-such-flag"},
      {{"--port"}, "--port"},
      {{"stray"}, "stray"},
  };
  for (const auto& c : cases) {
    const std::string message = ErrorOf(c.arguments);
    EXPECT_NE(message.find(c.message), std::string::npos)
        << message << "\n  expected " << c.message;
  }
}

TEST(CommandLineTest, PortsThatAreOffDoNotCollide) {
  const Config config = Valid({"--resp-port", "0", "--memcached-port", "0", "--http-port", "0"});
  EXPECT_EQ(config.resp_port, 0);
}

TEST(CommandLineTest, PrintsHelpAndVersion) {
  const auto help = Parse({"--help", "--port", "nonsense"});
  ASSERT_TRUE(help) << help.error().message;
  EXPECT_EQ(help->action, ParsedCommandLine::Action::kPrint);
  for (const Option& option : ConfigOptions()) {
    EXPECT_NE(help->text.find("--" + std::string(option.name)), std::string::npos) << option.name;
  }
  EXPECT_NE(help->text.find("--config"), std::string::npos);
  const auto version = Parse({"--version"});
  ASSERT_TRUE(version);
  EXPECT_EQ(version->action, ParsedCommandLine::Action::kPrint);
  EXPECT_EQ(version->text.substr(0, 6), "gyred ");
}

TEST(CommandLineTest, EveryOptionStatesItsDefault) {
  for (const Option& option : ConfigOptions()) {
    EXPECT_NE(std::string(option.help).find("Default: "), std::string::npos) << option.name;
  }
}

// ---- Environment -------------------------------------------------------------------------------

using Variables = std::map<std::string, std::string>;

Result<ParsedCommandLine> ParseAmong(const Variables& variables, std::vector<std::string> arguments,
                                     std::size_t memory_limit_bytes = 0) {
  std::vector<const char*> argv = {"gyred"};
  for (const std::string& argument : arguments) argv.push_back(argument.c_str());
  const Surroundings surroundings{.variable =
                                      [&variables](const char* name) {
                                        const auto found = variables.find(name);
                                        return found == variables.end() ? nullptr
                                                                        : found->second.c_str();
                                      },
                                  .memory_limit_bytes = memory_limit_bytes};
  return ParseConfig(static_cast<int>(argv.size()), argv.data(), surroundings);
}

Config ValidAmong(const Variables& variables, std::vector<std::string> arguments = {},
                  std::size_t memory_limit_bytes = 0) {
  const auto parsed = ParseAmong(variables, std::move(arguments), memory_limit_bytes);
  EXPECT_TRUE(parsed) << parsed.error().message;
  return parsed ? parsed->config : Config{};
}

// A text that the option takes and that is not its default.
std::string SampleOf(const Option& option) {
  const Config defaults = Valid({});
  for (const char* text :
       {"true", "2", "3", "9s", "20s", "20MiB", "a:1", "majority", "json", "debug"}) {
    Config config = defaults;
    if (option.access.store(text, config) && !(config == defaults)) return text;
  }
  return "";
}

TEST(EnvironmentTest, HasEveryOption) {
  for (const Option& option : ConfigOptions()) {
    const std::string name = option.name;
    const std::string sample = SampleOf(option);
    ASSERT_NE(sample, "") << name << ": add a text that it takes";
    // What some options want beside themselves.
    std::vector<std::string> words;
    if (name != "data-dir") words.insert(words.end(), {"--data-dir", "/tmp/x"});
    if (name != "insecure") words.emplace_back("--insecure");
    const Config without = Valid(words);
    const Config by_variable = ValidAmong({{VariableOf(name), sample}}, words);
    words.push_back("--" + name);
    if (option.kind != OptionKind::kFlag) words.push_back(sample);
    EXPECT_EQ(by_variable, Valid(words)) << name;
    EXPECT_FALSE(by_variable == without) << name << " changes nothing";
  }
}

TEST(EnvironmentTest, AFlagWinsOverItAndItOverTheFile) {
  const auto path = std::filesystem::temp_directory_path() /
                    ("gyre-environment-" + std::to_string(getpid()) + ".toml");
  std::ofstream(path) << "port = 1\nresp-port = 2\nhttp-port = 3\njoin = [\"file:1\"]\n";
  const Variables variables = {{"GYRE_CONFIG", path},
                               {"GYRE_PORT", "11"},
                               {"GYRE_RESP_PORT", "12"},
                               {"GYRE_JOIN", "a:1,b:2"}};
  Config config = ValidAmong(variables, {"--port", "21"});
  EXPECT_EQ(config.port, 21);
  EXPECT_EQ(config.resp_port, 12);
  EXPECT_EQ(config.http_port, 3);
  EXPECT_EQ(config.join, (std::vector<HostPort>{{"a", 1}, {"b", 2}})) << "the whole list";
  config = ValidAmong(variables, {"--join", "c:3"});
  EXPECT_EQ(config.join, (std::vector<HostPort>{{"c", 3}}));
  std::filesystem::remove(path);
}

TEST(EnvironmentTest, AFlagsVariableIsTrueOrFalse) {
  for (const char* yes : {"1", "true"}) EXPECT_TRUE(ValidAmong({{"GYRE_INSECURE", yes}}).insecure);
  for (const char* no : {"0", "false", ""}) {
    EXPECT_FALSE(ValidAmong({{"GYRE_INSECURE", no}}).insecure) << no;
  }
  const auto parsed = ParseAmong({{"GYRE_INSECURE", "maybe"}}, {});
  ASSERT_FALSE(parsed);
  EXPECT_EQ(parsed.error().message, "GYRE_INSECURE: 'maybe' is neither true nor false");
}

TEST(EnvironmentTest, EmptyIsUnsetAndWhatKubernetesSetsIsNotOurs) {
  const Config config = ValidAmong({{"GYRE_ZONE", ""},
                                    {"GYRE_CONFIG", ""},
                                    {"GYRE_PORT", "tcp://10.96.0.7:7700"},
                                    {"GYRE_HTTP_PORT", "udp://10.96.0.7:1"},
                                    {"GYRE_PORT_7700_TCP_ADDR", "10.96.0.7"}});
  EXPECT_EQ(config, Valid({}));
}

TEST(EnvironmentTest, AnErrorNamesTheVariable) {
  const auto parsed = ParseAmong({{"GYRE_MEMORY", "lots"}}, {});
  ASSERT_FALSE(parsed);
  EXPECT_EQ(parsed.error().message.substr(0, 33), "GYRE_MEMORY: 'lots' is not a size");
}

TEST(HealthcheckFlagTest, LeavesTheConfigurationAsItIs) {
  const auto parsed = ParseAmong({{"GYRE_HTTP_PORT", "8080"}}, {"--healthcheck"});
  ASSERT_TRUE(parsed) << parsed.error().message;
  EXPECT_EQ(parsed->action, ParsedCommandLine::Action::kHealthcheck);
  EXPECT_EQ(parsed->config, ValidAmong({{"GYRE_HTTP_PORT", "8080"}}));
}

// ---- The limit of a control group ----------------------------------------------------------------

TEST(MemoryLimitTest, MostOfItIsForTheRecordsUnlessSaidOtherwise) {
  constexpr std::size_t kMiB = std::size_t{1} << 20;
  const Config config = ValidAmong({}, {}, 1000 * kMiB);
  EXPECT_EQ(config.memory_bytes, 600 * kMiB);
  EXPECT_EQ(config.client_memory_bytes, 150 * kMiB);
  EXPECT_EQ(config.value_bytes_max, 16 * kMiB);
  EXPECT_TRUE(config.memory_is_share);

  const Config clients = ValidAmong({}, {"--client-memory", "350MiB"}, 1000 * kMiB);
  EXPECT_EQ(clients.client_memory_bytes, 350 * kMiB);
  EXPECT_EQ(clients.memory_bytes, 400 * kMiB);

  const Config said = ValidAmong({{"GYRE_MEMORY", "900MiB"}}, {}, 1000 * kMiB);
  EXPECT_EQ(said.memory_bytes, 900 * kMiB);
  EXPECT_FALSE(said.memory_is_share);
  EXPECT_EQ(said.memory_limit_bytes, 1000 * kMiB);
}

TEST(MemoryLimitTest, AnyLimitGivesAConfigurationThatHolds) {
  constexpr std::size_t kMiB = std::size_t{1} << 20;
  for (std::size_t limit = 1; limit <= 4096; limit += limit < 128 ? 1 : 67) {
    const Config config = ValidAmong({}, {}, limit * kMiB);
    EXPECT_GE(config.memory_bytes, kMemoryBytesMin) << limit;
    EXPECT_LE(config.value_bytes_max, config.memory_bytes / 2) << limit;
    if (limit < 16) continue;  // less than the least of both
    EXPECT_LE(config.memory_bytes + config.client_memory_bytes, limit * kMiB / 4 * 3) << limit;
  }
}

// ---- File --------------------------------------------------------------------------------------

class ConfigFileTest : public ::testing::Test {
 protected:
  ConfigFileTest() {
    path_ = std::filesystem::temp_directory_path() /
            ("gyre-config-test-" + std::to_string(getpid()) + ".toml");
  }
  ~ConfigFileTest() override { std::filesystem::remove(path_); }

  std::string Write(const std::string& text) {
    std::ofstream(path_) << text;
    return path_;
  }
  std::string ErrorOfFile(const std::string& text) {
    const std::string message = ErrorOf({"--config", Write(text)});
    EXPECT_EQ(message.substr(0, path_.string().size()), path_.string()) << "names the file";
    return message.substr(std::min(path_.string().size(), message.size()));
  }

  std::filesystem::path path_;
};

TEST_F(ConfigFileTest, KnowsTheSameNames) {
  const Config config = Valid({"--config", Write("# a node\n"
                                                 "name = \"n2\"\n"
                                                 "resp-port = 6380\n"
                                                 "memory = \"1GiB\"\n"
                                                 "max-value = 4194304\n"
                                                 "evict-after = \"10m\"\n"
                                                 "join = [\"a:1\", \"b:2\"]\n")});
  EXPECT_EQ(config.name, "n2");
  EXPECT_EQ(config.resp_port, 6380);
  EXPECT_EQ(config.memory_bytes, std::size_t{1} << 30);
  EXPECT_EQ(config.value_bytes_max, std::size_t{4} << 20);
  EXPECT_EQ(config.evict_after, minutes(10));
  EXPECT_EQ(config.join, (std::vector<HostPort>{{"a", 1}, {"b", 2}}));
}

TEST_F(ConfigFileTest, AFlagIsTrueOrFalse) {
  EXPECT_TRUE(Valid({"--config", Write("snapshot-on-exit = true\ndata-dir = \"/tmp/x\"\n")})
                  .snapshot_on_exit);
  EXPECT_FALSE(Valid({"--config", Write("snapshot-on-exit = false\n")}).snapshot_on_exit);
  EXPECT_NE(ErrorOfFile("snapshot-on-exit = \"yes\"\n").find("must be true or false"),
            std::string::npos);
}

// ---- Beyond loopback ---------------------------------------------------------------------------

TEST(AddressesTest, OthersAreToldTheHostUnlessAnotherIsAdvertised) {
  const auto told = [](std::vector<std::string> arguments) {
    arguments.insert(arguments.end(), {"--insecure", "--port", "8000"});
    return Valid(std::move(arguments)).advertise;
  };
  EXPECT_EQ(told({}), (HostPort{"127.0.0.1", 8000}));
  EXPECT_EQ(told({"--host", "10.0.0.1"}), (HostPort{"10.0.0.1", 8000}));
  EXPECT_EQ(told({"--host", "0.0.0.0", "--advertise", "a.example"}), (HostPort{"a.example", 8000}));
  EXPECT_EQ(told({"--advertise", "a.example:9"}), (HostPort{"a.example", 9}));
  EXPECT_EQ(told({"--host", "::", "--advertise", "[fd00::1]"}), (HostPort{"fd00::1", 8000}));
  EXPECT_EQ(told({"--host", "::", "--advertise", "[fd00::1]:9"}), (HostPort{"fd00::1", 9}));
  EXPECT_EQ(told({"--host", "::", "--advertise", "fd00::1"}), (HostPort{"fd00::1", 8000}));
}

TEST(AddressesTest, WhatOthersCannotMeanIsRefused) {
  for (const char* host : {"0.0.0.0", "::"}) {
    EXPECT_EQ(ErrorOf({"--host", host, "--insecure"}).find("--host " + std::string(host)), 0U);
    EXPECT_NE(ErrorOf({"--host", host, "--insecure"}).find("--advertise HOST"), std::string::npos);
    EXPECT_NE(ErrorOf({"--advertise", host, "--insecure"}).find("--advertise HOST"),
              std::string::npos);
  }
  for (const char* text : {"", "a:b", "a:0", "a b"}) EXPECT_NE(ErrorOf({"--advertise", text}), "");
}

TEST(AddressesTest, BeyondLoopbackANodeWantsAKeyOrIsToldNotTo) {
  const std::vector<std::vector<std::string>> open = {{"--host", "10.0.0.1"},
                                                      {"--host", "fd00::1"},
                                                      {"--host", "node-a"},
                                                      {"--advertise", "10.0.0.1"},
                                                      {"--host", "0.0.0.0", "--advertise", "::1"}};
  for (std::vector<std::string> arguments : open) {
    const std::string error = ErrorOf(arguments);
    EXPECT_NE(error.find("--gossip-key FILE"), std::string::npos) << error;
    EXPECT_NE(error.find("--insecure"), std::string::npos) << error;
    arguments.emplace_back("--insecure");
    Valid(arguments);
    arguments.pop_back();
    arguments.insert(arguments.end(), {"--gossip-key", "f"});
    Valid(arguments);
  }
  for (const char* host : {"127.0.0.1", "127.9.9.9", "::1", "localhost"}) Valid({"--host", host});
}

TEST_F(ConfigFileTest, FlagsWin) {
  const std::string path = Write("port = 7000\nresp-port = 7001\njoin = \"a:1,b:2\"\n");
  const Config config = Valid({"--port", "8000", "--config", path, "--join", "c:3"});
  EXPECT_EQ(config.port, 8000);
  EXPECT_EQ(config.resp_port, 7001);
  EXPECT_EQ(config.join, (std::vector<HostPort>{{"c", 3}}));
}

TEST_F(ConfigFileTest, ExplainsWhatIsWrongAndWhere) {
  EXPECT_EQ(ErrorOfFile("port = 7000\n\nrespport = 1\n"),
            ":3: unknown key 'respport': see gyred --help for the names");
  EXPECT_EQ(ErrorOfFile("resp_port = 1\n"), ":1: unknown key 'resp_port': did you mean resp-port?");
  EXPECT_EQ(ErrorOfFile("[server]\nport = 1\n").substr(0, 24), ":1: unknown key 'server'");
  EXPECT_EQ(ErrorOfFile("port = \"7000\"\n"), ":1: port must be an integer");
  EXPECT_EQ(ErrorOfFile("\nname = 7\n"), ":2: name must be a string in quotes");
  EXPECT_EQ(ErrorOfFile("memory = 1.5\n"),
            ":1: memory must be a string with its unit, e.g. \"256MiB\" or \"5m\"");
  EXPECT_EQ(ErrorOfFile("join = [1]\n"),
            ":1: join must be an array of strings, e.g. [\"127.0.0.1:7700\"]");
  EXPECT_EQ(ErrorOfFile("replicas = 9\n"), ":1: replicas: '9' is not a number from 1 to 7");
  EXPECT_EQ(ErrorOfFile("port = \n").substr(0, 3), ":1:");
  EXPECT_EQ(ErrorOfFile("a = 1\nname = \"n\nport = 2").substr(0, 3), ":2:");
}

TEST_F(ConfigFileTest, ExplainsThatItCannotBeRead) {
  EXPECT_EQ(ErrorOf({"--config", "/no/such/file.toml"}),
            "cannot read --config /no/such/file.toml: No such file or directory");
  EXPECT_NE(ErrorOf({"--config", "/tmp"}).find("cannot read --config /tmp"), std::string::npos);
}

}  // namespace
}  // namespace gyre
