#include "sim/seeds.h"

#include <spdlog/spdlog.h>

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <optional>
#include <string>

#include "base/log.h"
#include "sim/world.h"

namespace gyre::sim {
namespace {

std::optional<std::uint64_t> Number(const char* variable) {
  const char* text = std::getenv(variable);
  if (text == nullptr) return std::nullopt;
  return std::strtoull(text, nullptr, 10);
}

class Environment : public ::testing::Environment {
 public:
  void SetUp() override {
    const bool trace = std::getenv("GYRE_SIM_TRACE") != nullptr;
    (void)SetLogLevel(trace ? "debug" : "error");
    spdlog::set_pattern("%v");
  }
  void TearDown() override {
    const World::Totals& totals = World::totals();
    const auto time = std::chrono::duration_cast<std::chrono::seconds>(totals.time);
    std::printf("simulated %.2f hours in %llu runs\n", static_cast<double>(time.count()) / 3600,
                static_cast<unsigned long long>(totals.runs));
    for (const auto& [fault, count] : SimCluster::found()) {
      std::printf("found: %s, %llu times\n", std::string(NameOf(fault)).c_str(),
                  static_cast<unsigned long long>(count));
    }
  }
};
const auto* const kEnvironment =
    ::testing::AddGlobalTestEnvironment(new Environment);  // GoogleTest owns it

}  // namespace

std::string ReplayCommand(std::uint64_t seed) {
  const ::testing::TestInfo* test = ::testing::UnitTest::GetInstance()->current_test_info();
  return "GYRE_SIM_SEED=" + std::to_string(seed) +
         " GYRE_SIM_TRACE=1 bin/test_sim --gtest_filter=" + test->test_suite_name() + "." +
         test->name();
}

void ForSeeds(std::uint64_t count, const std::function<void(std::uint64_t)>& scenario,
              std::uint64_t first) {
  std::uint64_t begin = Number("GYRE_SIM_FIRST").value_or(1) - 1 + first;
  std::uint64_t end = begin + Number("GYRE_SIM_SEEDS").value_or(count);
  if (const auto only = Number("GYRE_SIM_SEED")) {
    begin = *only;
    end = begin + 1;
  }
  for (std::uint64_t seed = begin; seed < end; ++seed) {
    SCOPED_TRACE("replay: " + ReplayCommand(seed));
    scenario(seed);
    if (::testing::Test::HasFailure()) return;
  }
}

void Form(SimCluster& cluster, NodeIndex nodes) {
  cluster.StartAll(nodes);
  EXPECT_CONVERGES(cluster);
}

void Judge(SimCluster& cluster, const std::string& when) {
  cluster.EndLoad();
  cluster.ReadAll(when);
  EXPECT_NO_VIOLATION(cluster);
}

}  // namespace gyre::sim
