// backup, restore, import and export as the tool runs them, against a fake cluster whose nodes misbehave.
#include "client/shell/transfer.h"

#include <gmock/gmock.h>

#include <cstdlib>
#include <filesystem>
#include <sstream>

#include "client/fixture.h"
#include "client/shell/printer.h"
#include "client/shell/ring_entries.h"
#include "client/shell/tool.h"

namespace gyre::client {
namespace {

using testing::HasSubstr;

class TransferTest : public ClientTest {
 protected:
  TransferTest() {
    std::string name = testing::TempDir() + "gyre-transfer-XXXXXX";
    root_ = mkdtemp(name.data());
    folder_ = root_ + "/backup";
  }
  ~TransferTest() override { std::filesystem::remove_all(root_); }

  // Its exit status; what it says is in `summary_`.
  int Run(std::vector<std::string> args, const std::string& input = "") {
    args.insert(args.begin(), {"--connect", cluster_.node(0).address(), "--deadline", "20000"});
    args.insert(args.end(), {"-o", "json"});
    std::istringstream in(input);
    std::ostringstream out;
    std::ostringstream err;
    const int status = RunTool(args, {in, out, err});
    summary_ = Json::parse(out.str(), nullptr, /*allow_exceptions=*/false);
    err_ = err.str();
    return status;
  }
  void OnEachNode(const std::string& command, const Mischief& mischief, int times = 1) {
    for (std::size_t i = 0; i < cluster_.node_count(); ++i) {
      cluster_.node(i).Misbehave(command, mischief, times);
    }
  }
  static Mischief Says(ErrorCode code, const std::string& message) {
    Mischief mischief;
    wire::Error* const error = mischief.reply.emplace().mutable_value()->mutable_error();
    error->set_code(static_cast<std::uint32_t>(code));
    error->set_message(message);
    return mischief;
  }
  static std::string Line(const std::string& key, const std::string& value) {
    return "{\"key\":\"" + key + "\",\"value\":\"" + value + "\"}\n";
  }

  std::string root_;
  std::string folder_;
  Json summary_;
  std::string err_;
};

TEST_F(TransferTest, EverythingComesBack) {
  for (int i = 0; i < 2000; ++i) cluster_.store().Put("k" + std::to_string(i), std::to_string(i));
  ASSERT_EQ(Run({"set", "flagged", "value", "--flags", "7"}), kExitDone) << err_;
  ASSERT_EQ(Run({"set", "expires", "soon", "PXAT", "4000000000123"}), kExitDone) << err_;
  ASSERT_EQ(Run({"backup", folder_}), kExitDone) << err_ << summary_;
  EXPECT_EQ(summary_["keys"], 2002);
  ASSERT_EQ(Run({"flushall", "--yes"}), kExitDone);
  ASSERT_EQ(Run({"restore", folder_}), kExitDone) << err_ << summary_;
  EXPECT_EQ(summary_["keys"], 2002);
  EXPECT_EQ(cluster_.store().Get("k1999"), "1999");
  ASSERT_EQ(Run({"get", "flagged"}), kExitDone);
  EXPECT_EQ(summary_["flags"], 7);
  ASSERT_EQ(Run({"pexpiretime", "expires"}), kExitDone);
  EXPECT_EQ(summary_, 4000000000123);
}

// The expiry that was seen first is not that of the value: it was written in between.
TEST_F(TransferTest, ARecordThatIsWrittenMeanwhileIsReadAgain) {
  for (int i = 0; i < 30; ++i) cluster_.store().Put("k" + std::to_string(i), "v");
  Mischief stale;
  stale.reply.emplace().mutable_value()->set_integer(4000000000000);
  OnEachNode("PEXPIRETIME", stale, 3);
  ASSERT_EQ(Run({"backup", folder_}), kExitDone) << err_;
  EXPECT_EQ(summary_["keys"], 30);
  ASSERT_EQ(Run({"flushall", "--yes"}), kExitDone);
  ASSERT_EQ(Run({"restore", folder_}), kExitDone);
  for (int i = 0; i < 30; ++i) {
    ASSERT_EQ(Run({"pexpiretime", "k" + std::to_string(i)}), kExitDone);
    EXPECT_EQ(summary_, -1) << i;
  }
}

TEST_F(TransferTest, AWriteWhoseOutcomeIsNotKnownIsLookedUp) {
  // It is carried out, and the link breaks before the answer: NX is then refused because of itself.
  Mischief mischief;
  mischief.execute = true;
  mischief.close = true;
  OnEachNode("SET", mischief);
  ASSERT_EQ(Run({"import", "-", "--format", "json", "--if-absent"}, Line("a", "1")), kExitDone)
      << err_ << summary_;
  EXPECT_EQ(summary_["keys"], 1);
  EXPECT_EQ(summary_["skipped"], 0);
  EXPECT_EQ(cluster_.store().Get("a"), "1");
  ASSERT_EQ(Run({"import", "-", "--format", "json", "--if-absent"}, Line("a", "2")), kExitDone);
  EXPECT_EQ(summary_["keys"], 0);
  EXPECT_EQ(summary_["skipped"], 1);
  EXPECT_EQ(cluster_.store().Get("a"), "1");
}

TEST_F(TransferTest, WhatANodeRefusesForGoodIsCounted) {
  const std::string key = cluster_.KeyOwnedBy(1);
  cluster_.node(1).Misbehave("SET", Says(ErrorCode::kTooLarge, "over --max-value"));
  const std::string other = cluster_.KeyOwnedBy(2);
  EXPECT_EQ(Run({"import", "-", "--format", "json"}, Line(key, "1") + Line(other, "2")),
            kExitRefused);
  EXPECT_EQ(summary_["keys"], 1);
  EXPECT_EQ(summary_["failed"], 1);
  EXPECT_EQ(summary_["complete"], false);
  EXPECT_THAT(summary_["first_error"].get<std::string>(), HasSubstr("over --max-value"));
}

TEST_F(TransferTest, OfTwoRecordsOfAKeyTheLaterOneStays) {
  std::string lines;
  for (int i = 0; i < 300; ++i) lines += Line("same", std::to_string(i));
  ASSERT_EQ(Run({"import", "-", "--format", "json"}, lines), kExitDone) << err_;
  EXPECT_EQ(summary_["keys"], 300);
  EXPECT_EQ(cluster_.store().Get("same"), "299");
}

TEST_F(TransferTest, ABadLineEndsItWithWhatWasStoredBefore) {
  EXPECT_EQ(Run({"import", "-", "--format", "json"}, Line("a", "1") + "nonsense\n"), kExitRefused);
  EXPECT_THAT(summary_["error"]["message"].get<std::string>(), HasSubstr("line 2"));
  EXPECT_EQ(summary_["complete"], false);
}

TEST(RingEntries, APrefixIsNoPattern) {
  EXPECT_EQ(PatternOfPrefix("a*b?[c]\\^"), "a\\*b\\?\\[c\\]\\\\\\^*");
  EXPECT_EQ(PatternOfPrefix(""), "*");
}

}  // namespace
}  // namespace gyre::client
