#include "history/stream_model.h"

#include <gtest/gtest.h>

#include <array>
#include <cstdio>
#include <cstdlib>
#include <string>

namespace gyre::history {
namespace {

// GYRE_MODEL_SEEDS=n runs so many instead, of each way.
std::uint64_t Seeds(std::uint64_t count) {
  const char* text = std::getenv("GYRE_MODEL_SEEDS");
  return text == nullptr ? count : std::strtoull(text, nullptr, 10);
}
constexpr std::uint64_t kSoundSeeds = 200;
constexpr std::uint64_t kBugSeeds = 100;

struct Ways {
  std::uint32_t copies;
  std::uint32_t acks;
};
constexpr Ways kWays[] = {{2, 1}, {2, 2}, {3, 1}, {3, 2}, {3, 3}};

using Counts = std::array<std::uint64_t, static_cast<std::size_t>(Fault::kCount)>;

// In how many of the seeds a bug was seen, and by which faults.
struct Caught {
  std::uint64_t runs = 0;
  Counts by{};
  std::string first;      // seed and report
  bool names_all = true;  // each violation names its key and a write
};

Caught Hunt(ModelOptions options, std::uint64_t seeds) {
  Caught caught;
  for (options.seed = 1; options.seed <= seeds; ++options.seed) {
    History history(options.promise());
    RunStreamModel(options, history);
    if (history.violations().empty()) continue;
    ++caught.runs;
    if (caught.first.empty()) {
      caught.first = "seed " + std::to_string(options.seed) + ": " + history.Report();
    }
    for (const Violation& each : history.violations().kept()) {
      const bool named = !each.key.empty() && each.text.find(each.key) != std::string::npos &&
                         each.text.find("write ") != std::string::npos;
      caught.names_all = caught.names_all && (named || each.fault == Fault::kDiverged);
    }
    for (std::size_t fault = 0; fault < caught.by.size(); ++fault) {
      caught.by[fault] += history.violations().count(static_cast<Fault>(fault)) != 0 ? 1 : 0;
    }
  }
  return caught;
}

// Prints what was caught, for who changes the checker.
void Tell(const std::string& name, const Caught& caught, std::uint64_t seeds) {
  std::string by;
  for (std::size_t fault = 0; fault < caught.by.size(); ++fault) {
    if (caught.by[fault] == 0) continue;
    by += (by.empty() ? "" : ", ") + std::string(NameOf(static_cast<Fault>(fault))) + " " +
          std::to_string(caught.by[fault]);
  }
  std::printf("%s: caught in %llu of %llu seeds (%s)\n", name.c_str(),
              static_cast<unsigned long long>(caught.runs), static_cast<unsigned long long>(seeds),
              by.c_str());
}

TEST(StreamModelTest, WhoKeepsThePromiseIsNeverAccused) {
  std::uint64_t acknowledged = 0;
  std::uint64_t losses = 0;
  std::uint64_t survivals = 0;
  for (const Ways& ways : kWays) {
    for (const bool evicts : {false, true}) {
      ModelOptions options{.copies = ways.copies, .acks = ways.acks, .evicts = evicts};
      for (options.seed = 1; options.seed <= Seeds(kSoundSeeds); ++options.seed) {
        History history(options.promise());
        RunStreamModel(options, history);
        ASSERT_EQ(history.violations().found(), 0U)
            << "seed " << options.seed << ", " << ways.copies << " copies, acks " << ways.acks
            << (evicts ? ", evicts" : "") << "\n"
            << history.Report();
        acknowledged += history.acknowledged();
        losses += history.streams().losses();
        survivals += history.streams().survivals();
      }
    }
  }
  // The model does cut off the ends of streams, so that there was something to be right about.
  EXPECT_GT(acknowledged, 100'000U);
  EXPECT_GT(survivals, 10'000U);
  EXPECT_GT(losses, 500U);
}

TEST(StreamModelTest, TheSameSeedIsTheSameHistory) {
  const auto lines = [](std::uint64_t seed) {
    std::string text;
    History history({Level::kStream, true});
    history.set_sink([&text](const Event& event) { text += ToLine(event) + "\n"; });
    RunStreamModel({.seed = seed}, history);
    return text;
  };
  EXPECT_EQ(lines(3), lines(3));
  EXPECT_NE(lines(3), lines(4));
}

struct Case {
  const char* name;
  Bug bug;
  Ways ways;
  std::uint64_t at_least;  // of kBugSeeds, without and with evictions: about half of what is caught
  Fault told;              // at least once
};

class StreamModelBugTest : public testing::TestWithParam<Case> {};

TEST_P(StreamModelBugTest, IsCaught) {
  const Case& each = GetParam();
  const std::uint64_t seeds = Seeds(kBugSeeds);
  for (const bool evicts : {false, true}) {
    const Caught caught = Hunt(
        {.copies = each.ways.copies, .acks = each.ways.acks, .evicts = evicts, .bug = each.bug},
        seeds);
    Tell(std::string(each.name) + (evicts ? ", evictions" : ""), caught, seeds);
    EXPECT_GE(caught.runs, each.at_least * seeds / kBugSeeds) << caught.first;
    EXPECT_GT(caught.by[static_cast<std::size_t>(each.told)], 0U) << caught.first;
    EXPECT_TRUE(caught.names_all) << caught.first;
  }
}

INSTANTIATE_TEST_SUITE_P(
    Bugs, StreamModelBugTest,
    testing::Values(
        Case{"SkippedGroupAcks1", Bug::kSkippedGroup, {2, 1}, 40, Fault::kReordered},
        Case{"SkippedGroup", Bug::kSkippedGroup, {2, 2}, 50, Fault::kLost},
        Case{"TornGroupAcks1", Bug::kTornGroup, {2, 1}, 8, Fault::kTorn},
        Case{"TornGroup", Bug::kTornGroup, {3, 3}, 25, Fault::kTorn},
        Case{"AckBeforePredecessor", Bug::kAckBeforePredecessor, {2, 2}, 25, Fault::kLost},
        Case{"ForgottenRemoval", Bug::kForgottenRemoval, {2, 2}, 7, Fault::kLate},
        Case{"ForgottenRemovalAcks1", Bug::kForgottenRemoval, {2, 1}, 9, Fault::kTorn},
        Case{"ContextTooNew", Bug::kContextTooNew, {3, 2}, 15, Fault::kLost},
        Case{"ContextTooOld", Bug::kContextTooOld, {3, 2}, 12, Fault::kResurrected}),
    [](const auto& info) { return info.param.name; });

}  // namespace
}  // namespace gyre::history
