#include "ops/config_parameters.h"

#include <gtest/gtest.h>

#include <map>
#include <nlohmann/json.hpp>
#include <set>
#include <string>
#include <vector>

#include "base/log.h"
#include "ops/config_options.h"

namespace gyre {
namespace {

class ConfigParametersTest : public ::testing::Test {
 protected:
  ~ConfigParametersTest() override { (void)SetLogLevel("info"); }

  static Config SomeConfig() {
    Config config;
    config.name = "n1";
    config.advertise = {"a.example", 7700};
    config.memory_bytes = std::size_t{32} << 20;
    config.value_bytes_max = std::size_t{16} << 20;
    config.client_memory_bytes = std::size_t{64} << 20;
    config.threads = 2;
    config.connections_max = 100;
    config.idle_timeout = std::chrono::milliseconds(1500);
    config.join = {{"a", 1}, {"::1", 2}};
    config.gossip_key = "/etc/gyre/key";
    config.data_dir = "/var/lib/gyre";
    return config;
  }

  std::string Get(const std::string& name) {
    const Fields fields = parameters_.ConfigGet(name);
    EXPECT_EQ(fields.size(), 1U) << name;
    return fields.empty() ? "" : fields[0].second;
  }
  // "OK", or what is wrong.
  std::string Set(const NodeSettings::Changes& changes) {
    const Status set = parameters_.ConfigSet(changes);
    return set ? "OK" : set.error().message;
  }
  std::string Failed(const std::string& name, const std::string& why) {
    return "CONFIG SET failed (possibly related to argument '" + name + "') - " + why;
  }

  ConfigParameters parameters_{SomeConfig()};
  const std::string restart_ =
      "it cannot change while the node runs: restart it with the new value";
};

TEST_F(ConfigParametersTest, EveryOptionHasItsParameter) {
  std::map<std::string, std::string> all;
  for (auto& [name, value] : parameters_.ConfigGet("*")) {
    EXPECT_TRUE(all.emplace(name, value).second) << name << " stands there twice";
  }
  for (const Option& option : ConfigOptions()) {
    EXPECT_EQ(all.count(std::string(option.parameter())), 1U) << option.parameter();
  }
  const std::pair<const char*, const char*> values[] = {
      {"name", "n1"},
      {"advertise", "a.example:7700"},
      {"native-port", "7700"},
      {"port", "6379"},
      {"join", "a:1,[::1]:2"},
      {"memory", "33554432"},
      {"maxmemory", "33554432"},
      {"max-connections", "100"},
      {"maxclients", "100"},
      {"idle-timeout", "1500ms"},
      {"timeout", "2"},
      {"evict-after", "5m"},
      {"consistency", "available"},
      {"snapshot-on-exit", "no"},
      {"gossip-key", "/etc/gyre/key"},
      {"dir", "/var/lib/gyre"},
      {"log-level", "info"},
      {"loglevel", "notice"},
      {"databases", "1"},
      {"tcp-keepalive", "60"},
  };
  for (const auto& [name, value] : values) EXPECT_EQ(all[name], value) << name;
}

TEST_F(ConfigParametersTest, GetsByPatternInAnyCase) {
  EXPECT_EQ(parameters_.ConfigGet("MaxMemory"), (Fields{{"MaxMemory", "33554432"}}));
  std::set<std::string> names;
  for (const auto& [name, value] : parameters_.ConfigGet("max*")) names.insert(name);
  EXPECT_EQ(names,
            (std::set<std::string>{"max-value", "max-connections", "max-connections-per-address",
                                   "maxmemory", "maxclients", "maxmemory-policy"}));
  EXPECT_EQ(parameters_.ConfigGet("nothing"), Fields{});
}

TEST_F(ConfigParametersTest, WhatIsSetToWhatItIsIsSet) {
  const std::pair<const char*, const char*> values[] = {
      {"memory", "32MiB"},
      {"memory", "33554432"},
      {"maxmemory", "32mb"},
      {"idle-timeout", "1500ms"},
      {"timeout", "2"},
      {"snapshot-on-exit", "no"},
      {"snapshot-on-exit", "false"},
      {"join", "a:1,[::1]:2"},
      {"zone", ""},
      {"evict-after", "300s"},
      {"consistency", "available"},
      {"port", "6379"},
      {"NAME", "n1"},
      {"save", ""},
      {"appendonly", "NO"},
      {"maxmemory-policy", "allkeys-lfu"},
  };
  for (const auto& [name, value] : values) EXPECT_EQ(Set({{name, value}}), "OK") << name;
}

TEST_F(ConfigParametersTest, OthersWantARestart) {
  const std::pair<const char*, const char*> values[] = {
      {"memory", "33MiB"}, {"maxmemory", "33mb"},
      {"threads", "3"},    {"zone", "a"},
      {"join", "a:1"},     {"gossip-key", "/tmp"},
      {"insecure", "yes"}, {"zone", "b"},
      {"port", "1"},       {"appendonly", "yes"},
      {"save", "900 1"},   {"weight", "2"},
      {"bind", "0.0.0.0"}, {"maxmemory-policy", "noeviction"},
  };
  for (const auto& [name, value] : values) {
    EXPECT_EQ(Set({{name, value}}), Failed(name, restart_)) << value;
  }
}

TEST_F(ConfigParametersTest, ExplainsWhatIsWrong) {
  EXPECT_EQ(
      Set({{"memory", "lots"}}),
      Failed("memory", "'lots' is not a size: write a number with K, M, G or T, e.g. 256MiB"));
  EXPECT_EQ(Set({{"weight", "0"}}), Failed("weight", "'0' is not a number from 1 to 1024"));
  EXPECT_EQ(Set({{"maxmemory", "lots"}}), Failed("maxmemory", "argument must be a memory value"));
  EXPECT_EQ(Set({{"maxclients", "x"}}),
            Failed("maxclients", "argument couldn't be parsed into an integer"));
  EXPECT_EQ(Set({{"maxclients", "0"}}),
            Failed("maxclients", "argument must be between 1 and 4294967295 inclusive"));
  EXPECT_EQ(Set({{"appendonly", "maybe"}}), Failed("appendonly", "argument must be 'yes' or 'no'"));
  EXPECT_EQ(Set({{"loglevel", "info"}}),
            Failed("loglevel",
                   "argument(s) must be one of the following: debug, verbose, notice, warning"));
  EXPECT_EQ(Set({{"io-threads", "2"}}), Failed("io-threads", "can't set immutable config"));
  EXPECT_EQ(Set({{"port", "1"}, {"PORT", "2"}}), Failed("PORT", "duplicate parameter"));
  EXPECT_EQ(Set({{"nothing", "1"}}),
            "Unknown option or number of arguments for CONFIG SET - 'nothing'");
}

TEST_F(ConfigParametersTest, TheLogLevelChangesAtOnce) {
  EXPECT_EQ(Set({{"log-level", "DEBUG"}}), "OK");
  EXPECT_TRUE(IsLogged(LogLevel::kDebug));
  EXPECT_EQ(Get("log-level"), "debug");
  EXPECT_EQ(Get("loglevel"), "debug");
  EXPECT_EQ(Set({{"loglevel", "verbose"}}), "OK");
  EXPECT_TRUE(IsLogged(LogLevel::kInfo));
  EXPECT_FALSE(IsLogged(LogLevel::kDebug));
  EXPECT_EQ(Get("log-level"), "info");
  EXPECT_EQ(Set({{"loglevel", "Warning"}}), "OK");
  EXPECT_EQ(Get("log-level"), "warn");
  EXPECT_EQ(Set({{"log-level", "trace"}}), "OK");
  EXPECT_EQ(Get("loglevel"), "debug");
  EXPECT_EQ(Set({{"loglevel", "debug"}}), "OK");
  EXPECT_TRUE(IsLogged(LogLevel::kDebug)) << "trace, to Redis, is debug as well";
}

TEST_F(ConfigParametersTest, TheNodeIsToldOfWhatItMustApply) {
  std::vector<Config> told;
  parameters_.on_change = [&](const Config& config) { told.push_back(config); };
  EXPECT_EQ(Set({{"idle-timeout", "5m"}, {"evict-after", "10m"}, {"stop-timeout", "3s"}}), "OK");
  ASSERT_EQ(told.size(), 1U);
  EXPECT_EQ(told[0].idle_timeout, std::chrono::minutes(5));
  EXPECT_EQ(told[0].evict_after, std::chrono::minutes(10));
  EXPECT_EQ(told[0].stop_timeout, std::chrono::seconds(3));
  EXPECT_EQ(Set({{"timeout", "7"}}), "OK");
  EXPECT_EQ(Get("idle-timeout"), "7s");
  EXPECT_EQ(parameters_.Now().idle_timeout, std::chrono::seconds(7));
  EXPECT_EQ(told.size(), 2U);
  EXPECT_EQ(Set({{"timeout", "7"}}), "OK");
  EXPECT_EQ(told.size(), 2U) << "nothing changed";
  EXPECT_EQ(Set({{"stop-timeout", "9s"}, {"timeout", "2147483647"}}),
            Failed("timeout", "'2147483647s' is too long: ten years at most"));
  EXPECT_EQ(Get("stop-timeout"), "3s");
}

// ---- What the ring says -------------------------------------------------------------------------

class RingParametersTest : public ConfigParametersTest {
 protected:
  // What RINGCONFIG SET leads to, once it has gone round. "OK", or what is wrong.
  std::string RingSet(const NodeSettings::Changes& changes) {
    return Change(parameters_.RingConfigSet(changes));
  }
  std::string RingUnset(const std::vector<std::string_view>& names) {
    return Change(parameters_.RingConfigUnset(names));
  }
  std::string Change(const Result<std::vector<SettingChange>>& changes) {
    if (!changes) return changes.error().message;
    for (const SettingChange& change : *changes) {
      settings_.Merge(*settings_.Stamp(change, NodeId{}, std::nullopt), 0);
    }
    parameters_.TakeRing(settings_);
    return "OK";
  }
  std::string Unset(const std::vector<std::string_view>& names) {
    const Status unset = parameters_.ConfigUnset(names);
    return unset ? "OK" : unset.error().message;
  }
  std::string Source(const std::string& name) {
    const auto json = nlohmann::json::parse(parameters_.ConfigSourcesJson(name));
    return json["parameters"].size() == 1 ? json["parameters"][0]["source"] : "?";
  }
  nlohmann::json Ring(const std::string& pattern = "*") {
    return nlohmann::json::parse(parameters_.RingConfigJson(pattern))["parameters"];
  }

  SettingsMap settings_;
};

TEST_F(RingParametersTest, StandsAboveWhatTheNodeWasStartedWithAndBelowConfigSet) {
  EXPECT_EQ(Source("idle-timeout"), "default");
  EXPECT_EQ(RingSet({{"idle-timeout", "5m"}}), "OK");
  EXPECT_EQ(Get("idle-timeout"), "5m");
  EXPECT_EQ(Source("idle-timeout"), "ring");
  EXPECT_EQ(Source("timeout"), "ring");
  EXPECT_EQ(Set({{"idle-timeout", "1m"}}), "OK");
  EXPECT_EQ(Get("idle-timeout"), "1m");
  EXPECT_EQ(Source("idle-timeout"), "set");
  EXPECT_EQ(RingSet({{"idle-timeout", "9m"}}), "OK");
  EXPECT_EQ(Get("idle-timeout"), "1m");
  EXPECT_EQ(parameters_.ring_figures().overridden, 1U);
  EXPECT_EQ(Ring()[0]["standing"], "overridden");
  EXPECT_EQ(Ring()[0]["value_here"], "1m");
  EXPECT_EQ(Unset({"timeout"}), "OK") << "by its other name as well";
  EXPECT_EQ(Get("idle-timeout"), "9m");
  EXPECT_EQ(RingUnset({"IDLE-TIMEOUT"}), "OK");
  EXPECT_EQ(Get("idle-timeout"), "1500ms") << "what it was started with";
  EXPECT_EQ(Source("idle-timeout"), "default");
  EXPECT_EQ(Ring().size(), 0U);
}

TEST_F(RingParametersTest, IsCheckedAsConfigSetChecks) {
  EXPECT_EQ(
      RingSet({{"log-level", "loud"}}),
      "'log-level' cannot be set for the ring: 'loud' is no level: choose trace, debug, info, "
      "warn, error or off");
  EXPECT_EQ(RingSet({{"memory", "1GiB"}}), "'memory' cannot be set for the ring: " + restart_);
  EXPECT_EQ(RingSet({{"save", ""}}), "'save' cannot be set for the ring: " + restart_);
  EXPECT_EQ(RingSet({{"nothing", "1"}}),
            "'nothing' cannot be set for the ring: there is no such option: see gyre config get "
            "'*'");
  EXPECT_EQ(RingSet({{"timeout", "soon"}}),
            "'timeout' cannot be set for the ring: argument couldn't be parsed into an integer");
  EXPECT_EQ(RingSet({{"log-level", "debug"}, {"threads", "1"}}),
            "'threads' cannot be set for the ring: " + restart_);
  EXPECT_EQ(Get("log-level"), "info");
  EXPECT_EQ(RingUnset({"log-level"}),
            "'log-level' is not set for the ring: see gyre config get --ring");
  EXPECT_EQ(Unset({"log-level"}), "'log-level' was not changed by CONFIG SET at this node");
  EXPECT_EQ(Unset({"nothing"}),
            "Unknown option or number of arguments for CONFIG UNSET - 'nothing'");
}

TEST_F(RingParametersTest, IsKeptByTheOptionsNameInItsOwnWords) {
  EXPECT_EQ(RingSet({{"loglevel", "NOTICE"}, {"timeout", "90"}, {"evict-after", "120s"}}), "OK");
  EXPECT_EQ(*settings_.Find("config/log-level")->value, "info");
  EXPECT_EQ(*settings_.Find("config/idle-timeout")->value, "90s");
  EXPECT_EQ(*settings_.Find("config/evict-after")->value, "2m");
  EXPECT_EQ(Source("log-level"), "ring") << "even where it is the same";
}

// Of a newer release, or by a liar.
TEST_F(RingParametersTest, WhatThisNodeCannotTakeIsShownAndHasNoEffect) {
  const auto put = [&](const std::string& name, const std::string& value) {
    settings_.Merge(*settings_.Stamp({name, value}, NodeId{}, std::nullopt), 0);
  };
  put("config/log-level", "loud");
  put("config/memory", "1GiB");
  put("config/of-tomorrow", "yes");
  put("config/stop-timeout", "4s");
  put("user/alice", "secret");
  parameters_.TakeRing(settings_);
  EXPECT_EQ(Get("log-level"), "info");
  EXPECT_EQ(Get("memory"), "33554432");
  EXPECT_EQ(Get("stop-timeout"), "4s");
  EXPECT_EQ(parameters_.ring_figures().refused, 3U);
  const auto ring = Ring();
  ASSERT_EQ(ring.size(), 4U) << "options alone";
  EXPECT_EQ(ring[0]["name"], "log-level");
  EXPECT_EQ(ring[0]["standing"], "refused");
  EXPECT_EQ(ring[0]["reason"], "'loud' is no level: choose trace, debug, info, warn, error or off");
  EXPECT_EQ(ring[1]["reason"], restart_);
  EXPECT_EQ(ring[2]["reason"], "this release has no such option");
  EXPECT_EQ(ring[3]["standing"], "applied");
  EXPECT_EQ(Ring("stop*").size(), 1U);
  EXPECT_EQ(Source("log-level"), "default");
  // And can be taken back where it is not understood.
  EXPECT_EQ(RingUnset({"of-tomorrow", "memory"}), "OK");
  EXPECT_EQ(parameters_.ring_figures().refused, 1U);
}

TEST_F(RingParametersTest, SaysWhereValuesComeFrom) {
  ConfigParameters parameters(SomeConfig(), {{"threads", ConfigSource::kFlag},
                                             {"memory", ConfigSource::kFile},
                                             {"join", ConfigSource::kEnvironment}});
  const auto source = [&](const std::string& name) -> std::string {
    return nlohmann::json::parse(parameters.ConfigSourcesJson(name))["parameters"][0]["source"];
  };
  EXPECT_EQ(source("threads"), "flag");
  EXPECT_EQ(source("maxmemory"), "file");
  EXPECT_EQ(source("join"), "environment");
  EXPECT_EQ(source("zone"), "default");
  EXPECT_EQ(source("databases"), "fixed");
}

TEST_F(ConfigParametersTest, AllOrNothingIsSet) {
  EXPECT_EQ(Set({{"log-level", "error"}, {"threads", "3"}}), Failed("threads", restart_));
  EXPECT_EQ(Get("log-level"), "info");
}

}  // namespace
}  // namespace gyre
