#include "history/judge.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <sstream>

namespace gyre::history {
namespace {

using testing::HasSubstr;

TEST(EventTest, EveryFieldComesBack) {
  Event event{What::kAck, Kind::kSwap, 7, "a \"key\"\n", 12};
  event.token = 0xffff'ffff'ffff'fff0ULL;
  event.previous = 11;
  event.result = 3;
  event.start = 1000;
  event.end = 1840;
  event.note = "n1 was killed";
  std::string error;
  EXPECT_EQ(FromLine(ToLine(event), error), event) << error;
  Event read{What::kRead, Kind::kGet, 1, "k", std::nullopt};
  read.end = 5;
  read.is_final = true;
  EXPECT_EQ(FromLine(ToLine(read), error), read) << error;
}

TEST(EventTest, WhatIsNoEventIsRefusedWithItsLine) {
  const std::pair<const char*, const char*> cases[] = {
      {"nonsense", "line 2: not a JSON object"},
      {"[1]", "line 2: not a JSON object"},
      {R"({"event":"won","kind":"set","key":"k","number":1,"start":1})", "no such event: 'won'"},
      {R"({"event":"ack","kind":"put","key":"k","number":1,"start":1,"end":2})", "kind: 'put'"},
      {R"({"event":"ack","kind":"set","key":"k","start":1,"end":2})", "a write without its number"},
      {R"({"event":"ack","kind":"set","key":"k","number":1,"start":3,"end":2})", "ends before"},
      {R"({"event":"read","kind":"set","key":"k","number":1,"start":1,"end":2})", "a get is"},
      {R"({"event":"issue","kind":"set","key":3,"number":1,"start":1})", "line 2: "},
      {R"({"event":"ack","kind":"set","key":"k","number":1,"start":1})", "line 2: "},
  };
  for (const auto& [line, message] : cases) {
    std::istringstream in(std::string("\n") + line + "\n");
    std::string error;
    EXPECT_FALSE(ReadEvents(in, error)) << line;
    EXPECT_THAT(error, HasSubstr(message)) << line;
  }
}

struct Verdict {
  int code;
  std::string text;
};
Verdict CheckLines(const std::string& lines, const CheckOptions& options = {}) {
  std::istringstream in(lines);
  std::ostringstream out;
  const int code = Check(in, "run", options, out);
  return {code, out.str()};
}

constexpr const char* kTwoWrites =
    R"({"event":"issue","kind":"set","client":1,"key":"k","number":1,"start":10}
{"event":"ack","kind":"set","client":1,"key":"k","number":1,"start":10,"end":20}
{"event":"ack","kind":"set","client":1,"key":"k","number":2,"start":30,"end":40}
)";

TEST(CheckTest, ASoundHistoryPasses) {
  const Verdict verdict =
      CheckLines(std::string(kTwoWrites) +
                 R"({"event":"read","client":2,"key":"k","number":1,"start":21,"end":29}
{"event":"read","client":2,"key":"k","number":2,"start":31,"end":35}
{"event":"read","client":2,"key":"k","number":1,"start":40,"end":50}
{"event":"read","client":2,"key":"k","number":2,"start":60,"end":70,"final":true}
)");
  EXPECT_EQ(verdict.code, 0) << verdict.text;
  EXPECT_THAT(verdict.text, HasSubstr("1 keys, 2 acknowledged, 0 unknown, 0 refused, 4 reads"));
  EXPECT_THAT(verdict.text, HasSubstr("0 violations"));
}

TEST(CheckTest, TimeDecidesNotTheOrderOfLines) {
  const Verdict verdict = CheckLines(
      R"({"event":"read","client":2,"key":"k","number":1,"start":41,"end":50}
)" + std::string(kTwoWrites));
  EXPECT_EQ(verdict.code, 1);
  EXPECT_THAT(verdict.text, HasSubstr("lost: at 50 us: k reads 1, write 2 was acknowledged"));
}

TEST(CheckTest, AWriteWithoutAnOutcomeMayHaveHappened) {
  const Verdict verdict =
      CheckLines(std::string(kTwoWrites) +
                 R"({"event":"issue","kind":"delete","client":1,"key":"k","number":3,"start":50}
{"event":"read","client":2,"key":"k","start":60,"end":70}
{"event":"read","client":2,"key":"k","number":2,"start":80,"end":90}
)");
  EXPECT_EQ(verdict.code, 0) << verdict.text;
}

TEST(CheckTest, CountersAndSwapsAreJudged) {
  const std::string lines =
      R"({"event":"ack","kind":"incr","client":1,"key":"n","number":1,"result":1,"start":1,"end":2}
{"event":"ack","kind":"incr","client":2,"key":"n","number":1,"result":2,"start":1,"end":3}
{"event":"ack","kind":"cas","client":1,"key":"t","number":1,"start":1,"end":2}
{"event":"ack","kind":"cas","client":1,"key":"t","number":2,"previous":1,"token":9,"start":3,"end":4}
)";
  const std::string right =
      R"({"event":"read","client":2,"key":"n","number":2,"start":60,"end":70,"final":true}
{"event":"read","client":2,"key":"t","number":2,"start":60,"end":70,"final":true}
)";
  const std::string wrong =
      R"({"event":"ack","kind":"cas","client":2,"key":"t","number":3,"previous":1,"token":9,"start":3,"end":5}
{"event":"read","client":2,"key":"n","number":1,"start":60,"end":70,"final":true}
)";
  EXPECT_EQ(CheckLines(lines + right).code, 0) << CheckLines(lines + right).text;
  const Verdict verdict = CheckLines(lines + wrong);
  EXPECT_EQ(verdict.code, 1);
  EXPECT_THAT(verdict.text, HasSubstr("two winners"));
  EXPECT_THAT(verdict.text, HasSubstr("2 increments were acknowledged"));
}

TEST(CheckTest, LateEffectsAreAllowedOnlyIfAskedFor) {
  const std::string lines =
      R"({"event":"unknown","kind":"set","client":1,"key":"k","number":1,"start":1,"end":2}
{"event":"ack","kind":"set","client":1,"key":"k","number":2,"start":3,"end":4}
{"event":"read","client":2,"key":"k","number":1,"start":5,"end":6}
)";
  EXPECT_EQ(CheckLines(lines).code, 1);
  CheckOptions options;
  options.allow_late = true;
  EXPECT_EQ(CheckLines(lines, options).code, 0);
  const std::string known =
      R"({"event":"late","kind":"set","client":1,"key":"k","number":1,"start":1,"end":4}
)";
  EXPECT_EQ(CheckLines(lines + known).code, 0);
}

TEST(CheckTest, AHistoryThatProvesNothingIsNone) {
  EXPECT_EQ(CheckLines("").code, 2);
  EXPECT_EQ(CheckLines(kTwoWrites).code, 2);  // nothing was read
  EXPECT_EQ(CheckLines("nonsense\n").code, 2);
}

TEST(ReplayTest, WhatIsRecordedIsJudgedAlike) {
  std::vector<Event> events;
  History live;
  live.set_sink([&events](const Event& event) { events.push_back(event); });
  live.Acknowledge(live.Begin({Kind::kSet, 1, "k"}, 1), 2);
  live.Unknown(live.Begin({Kind::kSet, 1, "k"}, 3), 4);
  live.Acknowledge(live.Begin({Kind::kIncrement, 1, "n"}, 3), 4, 1);
  live.Acknowledge(live.Begin({Kind::kIncrement, 2, "n"}, 3), 5, 1);
  live.EndRead(live.BeginRead(2, "k", 5), {2}, 6);
  live.EndRead(live.BeginRead(2, "k", 7), {std::nullopt}, 8, nullptr, true);
  History again;
  Replay(events, again);
  EXPECT_EQ(live.violations().count(), 2U);
  EXPECT_EQ(again.violations().count(Fault::kLost), live.violations().count(Fault::kLost));
  EXPECT_EQ(again.violations().count(Fault::kRepeated), live.violations().count(Fault::kRepeated));
  EXPECT_EQ(again.acknowledged(), live.acknowledged());
  EXPECT_EQ(again.unknown(), live.unknown());
}

}  // namespace
}  // namespace gyre::history
