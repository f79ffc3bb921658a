// What `gyre doctor` says of a cluster.
#include "client/shell/doctor.h"

#include <gmock/gmock.h>

#include <algorithm>

namespace gyre::client {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

using Look = Check::Result;

class DoctorTest : public testing::Test {
 protected:
  DoctorTest() {
    examination_.status.partitions = 1024;
    examination_.status.replicas = 2;
    examination_.status.asked = "n1";
    for (const char* name : {"n1", "n2", "n3"}) {
      NodeStatus node;
      node.name = node.id = name;
      node.address = "127.0.0.1:7700";
      node.state = "alive";
      node.zone = std::string("z") + name[1];
      node.answered = true;
      examination_.status.nodes.push_back(node);
      examination_.configs.emplace_back(std::map<std::string, std::string>{
          {"name", name}, {"replicas", "2"}, {"data-dir", "/var/lib/gyre"}, {"memory", "1"}});
      examination_.answer_seconds.emplace_back(0.001);
      examination_.own.push_back({{"gossip", {{"encrypted", false}}}});
      examination_.deaf_ports.emplace_back();
    }
  }
  // The codes of what is not well.
  std::vector<std::string> Complaints() const {
    std::vector<std::string> codes;
    for (const Check& check : Diagnose(examination_)) {
      if (check.result != Look::kOk) codes.push_back(check.code);
    }
    return codes;
  }
  Check Find(const std::string& code) const {
    for (const Check& check : Diagnose(examination_)) {
      if (check.code == code) return check;
    }
    ADD_FAILURE() << "no " << code;
    return {};
  }

  Examination examination_;
};

TEST_F(DoctorTest, AHealthyClusterHasNothingButGoodNews) {
  EXPECT_THAT(Complaints(), IsEmpty());
  EXPECT_EQ(Diagnose(examination_).size(), 7U) << "each look says so";
}

TEST_F(DoctorTest, OptionsOfTheRingThatDifferAreAProblem) {
  (*examination_.configs[1])["replicas"] = "3";
  (*examination_.configs[1])["memory"] = "2";
  const Check first = Find("options_differ");
  EXPECT_EQ(first.result, Look::kNote) << "memory may differ";
  EXPECT_THAT(Complaints(), ElementsAre("options_differ", "options_differ"));
  const auto checks = Diagnose(examination_);
  const bool problem = std::any_of(checks.begin(), checks.end(), [](const Check& check) {
    return check.result == Look::kProblem &&
           check.text.starts_with("--replicas differs: n1 2, n2 3, n3 2");
  });
  EXPECT_TRUE(problem);
}

TEST_F(DoctorTest, WhoDoesNotAnswerOrHasAnotherReleaseIsNoContradiction) {
  examination_.configs[1].reset();
  EXPECT_THAT(Complaints(), IsEmpty());
  examination_.configs[2]->erase("memory");
  EXPECT_THAT(Find("options_differ").text, HasSubstr("--memory differs: n1 1"));
}

TEST_F(DoctorTest, PortsZonesIdentityAndPrivacyAreLookedAt) {
  examination_.deaf_ports[2] = {"RESP port 10.0.0.3:6379 cannot be reached from here: refused"};
  EXPECT_EQ(Find("port_deaf").result, Look::kProblem);
  EXPECT_THAT(Find("port_deaf").text, HasSubstr("n3's RESP port 10.0.0.3:6379"));
  for (NodeStatus& node : examination_.status.nodes) node.zone = "a";
  EXPECT_THAT(Find("zones_few").text, HasSubstr("2 copies, but 1 zone:"));
  (*examination_.configs[0])["data-dir"] = "";
  EXPECT_THAT(Find("no_data_dir").text, HasSubstr("n1 has no --data-dir"));
  examination_.status.nodes[1].address = "10.0.0.2:7700";
  EXPECT_EQ(Find("gossip_clear").result, Look::kProblem);
  examination_.answer_seconds[0] = 0.4;
  EXPECT_THAT(Find("node_slow").text, HasSubstr("n1 takes 400ms"));
}

TEST_F(DoctorTest, OneCopyIsSaid) {
  examination_.status.replicas = 1;
  EXPECT_THAT(Complaints(), ElementsAre("single_copy"));
}

TEST_F(DoctorTest, TheVerdictIsAmongIt) {
  examination_.status.unowned = 5;
  EXPECT_EQ(Find("partitions_unowned").result, Look::kProblem);
}

TEST(ReadConfig, TakesNamesAndValuesInTurn) {
  Value reply;
  for (const char* text : {"memory", "256", "name", "n1", "odd"}) {
    reply.elements.emplace_back().text = text;
  }
  EXPECT_EQ(ReadConfig(reply),
            (std::map<std::string, std::string>{{"memory", "256"}, {"name", "n1"}}));
  EXPECT_TRUE(ReadConfig({}).empty());
}

}  // namespace
}  // namespace gyre::client
