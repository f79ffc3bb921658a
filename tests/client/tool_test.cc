// The whole tool, run in this process against a fake cluster.
#include "client/shell/tool.h"

#include <gmock/gmock.h>

#include <cstdlib>
#include <sstream>

#include "client/fixture.h"
#include "client/shell/repl.h"

namespace gyre::client {
namespace {

using testing::HasSubstr;
using testing::StartsWith;

struct Outcome {
  int status = -1;
  std::string out;
  std::string err;
};

class ToolTest : public ClientTest {
 protected:
  Outcome RunBare(const std::vector<std::string>& args, const std::string& input = "") {
    std::istringstream in(input);
    std::ostringstream out;
    std::ostringstream err;
    const int status = RunTool(args, {in, out, err});
    return {status, out.str(), err.str()};
  }
  Outcome Run(std::vector<std::string> args, const std::string& input = "") {
    args.insert(args.begin(), {"--connect", cluster_.node(0).address()});
    return RunBare(args, input);
  }
  // What it prints; the exit status must be 0.
  std::string Done(std::vector<std::string> args) {
    const Outcome outcome = Run(std::move(args));
    EXPECT_EQ(outcome.status, kExitDone) << outcome.err;
    return outcome.out;
  }
  Json DoneJson(std::vector<std::string> args) {
    args.insert(args.end(), {"-o", "json"});
    return Json::parse(Done(std::move(args)));
  }
  std::string Piped(const std::string& input, int status = kExitDone) {
    const Outcome outcome = Run({}, input);
    EXPECT_EQ(outcome.status, status) << outcome.err;
    return outcome.out;
  }
};

// ---- Exit statuses -----------------------------------------------------------------------------

struct UsageCase {
  std::vector<std::string> args;
  int status;
  const char* message;
};

class UsageTest : public ToolTest, public testing::WithParamInterface<UsageCase> {};

TEST_P(UsageTest, ExitStatusAndMessage) {
  const Outcome outcome = RunBare(GetParam().args);
  EXPECT_EQ(outcome.status, GetParam().status);
  EXPECT_THAT(outcome.out + outcome.err, HasSubstr(GetParam().message));
}

INSTANTIATE_TEST_SUITE_P(
    Table, UsageTest,
    ::testing::Values(
        UsageCase{{"gte", "k"}, kExitUsage, "did you mean get"},
        UsageCase{{"frobnicate"}, kExitUsage, "gyre --help"},
        UsageCase{{"get"}, kExitUsage, "get takes KEY, not 0 arguments"},
        UsageCase{{"get", "a", "b"}, kExitUsage, "gyre get --help"},
        UsageCase{{"set", "k"}, kExitUsage, "set takes KEY VALUE"},
        UsageCase{{"set", "k", "v", "--nx", "--xx"}, kExitUsage, "excludes"},
        UsageCase{{"set", "k", "v", "--nx", "--if-version", "3"}, kExitUsage, "excludes"},
        UsageCase{{"set", "k", "v", "--ttl", "soon"}, kExitUsage, "100ms"},
        UsageCase{{"set", "k", "v", "--ttl", "0"}, kExitUsage, "100ms"},
        UsageCase{{"set", "k", "v", "--ttl", "-5"}, kExitUsage, "gyre set --help"},
        UsageCase{{"", "get", "k"}, kExitUsage, "no command ''"},
        UsageCase{{"--connect", "", "ping"}, kExitUsage, "names no node"},
        UsageCase{{"--connect", ",", "ping"}, kExitUsage, "names no node"},
        UsageCase{{"set", "k", "-v"}, kExitUsage, "gyre set --help"},
        UsageCase{{"set", "k", "v", "EX", "9", "--nx"}, kExitUsage, "not both"},
        UsageCase{{"getrange", "k", "0"}, kExitUsage, "KEY START END"},
        UsageCase{{"plan", "move", "n1"}, kExitUsage, "add or remove"},
        UsageCase{{"config", "set", "timeout"}, kExitUsage, "NAME VALUE"},
        UsageCase{{"config", "diff", "--node", "n1"}, kExitUsage, "all nodes"},
        UsageCase{{"config", "unset"}, kExitUsage, "NAME ..."},
        UsageCase{{"config", "get", "--ring", "a", "b"}, kExitUsage, "one PATTERN"},
        UsageCase{{"config", "diff", "--ring"}, kExitUsage, "get, set and unset"},
        UsageCase{{"config", "get", "--ring", "--node", "n1"}, kExitUsage, "say one of them"},
        UsageCase{{"-r", "-1", "ping"}, kExitUsage, "gyre ping --help"},
        UsageCase{{"--stat", "--nosuch"}, kExitUsage, "gyre stat --help"},
        UsageCase{{"get", "k", "--stat"}, kExitUsage, "--stat stands for a command"},
        UsageCase{{"bench", "--protocol", "resp", "--clean"}, kExitUsage, "native"},
        UsageCase{{"help", "gte"}, kExitUsage, "did you mean get"},
        UsageCase{{"help", "getrange"}, kExitDone, "Usage: gyre getrange KEY START END [OPTIONS]"},
        UsageCase{{"GETRANGE", "--help"}, kExitDone, "Usage: gyre getrange KEY START END"},
        UsageCase{{"expire", "k", "1y"}, kExitUsage, "7d"},
        UsageCase{{"incr", "k", "much"}, kExitUsage, "gyre incr --help"},
        UsageCase{{"mset", "a", "1", "b"}, kExitUsage, "without a value"},
        UsageCase{{"-o", "xml", "ping"}, kExitUsage, "json"},
        UsageCase{{"ping", "--frob"}, kExitUsage, "gyre ping --help"},
        UsageCase{{"--connect", "host:port", "ping"}, kExitUsage, "HOST:PORT"},
        UsageCase{{"bench", "--ratio", "1"}, kExitUsage, "1:10"},
        UsageCase{{"bench", "--ratio", "0:0"}, kExitUsage, "1:10"},
        UsageCase{{"bench", "--requests", "5", "--duration", "1"}, kExitUsage, "excludes"},
        UsageCase{{"bench", "--protocol", "http"}, kExitUsage, "bench --help"},
        UsageCase{{"bench", "--protocol", "resp", "--routed"}, kExitUsage, "native"},
        UsageCase{{"--help"}, kExitDone, "Exit status"},
        UsageCase{{"set", "--help"}, kExitDone, "--if-version"},
        UsageCase{{"--connect", "127.0.0.1:1", "ping"}, kExitCannotConnect, "127.0.0.1:1"},
        UsageCase{{"--connect", "127.0.0.1:1", "bench"}, kExitCannotConnect, "is it running"},
        UsageCase{{"--connect", "127.0.0.1:1"}, kExitCannotConnect, "refused"}));

TEST_F(ToolTest, CannotConnectAsJson) {
  const Outcome outcome = RunBare({"--connect", "127.0.0.1:1", "ping", "-o", "json"});
  EXPECT_EQ(outcome.status, kExitCannotConnect);
  EXPECT_EQ(Json::parse(outcome.out)["error"]["code"], "cannot_connect");
}

TEST_F(ToolTest, TheEnvironmentNamesTheNode) {
  setenv("GYRE_CONNECT", cluster_.node(1).address().c_str(), 1);
  EXPECT_EQ(RunBare({"ping"}).status, kExitDone);
  EXPECT_EQ(RunBare({"--connect", "127.0.0.1:1", "ping"}).status, kExitCannotConnect);
  unsetenv("GYRE_CONNECT");
}

TEST_F(ToolTest, SeveralNodesMayBeNamed) {
  EXPECT_EQ(RunBare({"--connect", "127.0.0.1:1," + cluster_.node(1).address(), "ping"}).status,
            kExitDone);
}

// ---- Data --------------------------------------------------------------------------------------

TEST_F(ToolTest, SetGetDel) {
  EXPECT_EQ(Done({"set", "k", "v"}), "OK\n");
  EXPECT_EQ(Done({"get", "k"}), "v\n");
  EXPECT_EQ(Done({"get", "--raw", "k"}), "v");
  EXPECT_EQ(Done({"del", "k", "nothing"}), "1\n");
  EXPECT_EQ(Run({"del", "k"}).status, kExitRefused);
  const Outcome miss = Run({"get", "k"});
  EXPECT_EQ(miss.status, kExitRefused);
  EXPECT_EQ(miss.out, "");
}

TEST_F(ToolTest, ConditionsOfSet) {
  EXPECT_EQ(Run({"set", "k", "v", "--xx"}).status, kExitRefused);
  EXPECT_EQ(Done({"set", "k", "1", "--nx"}), "OK\n");
  EXPECT_EQ(Run({"set", "k", "2", "--nx"}).status, kExitRefused);
  const std::string version = DoneJson({"get", "k"})["version"].dump();
  EXPECT_EQ(Done({"set", "k", "3", "--if-version", version}), "OK\n");
  EXPECT_EQ(Run({"set", "k", "4", "--if-version", version}).status, kExitRefused);
  EXPECT_EQ(Done({"get", "k"}), "3\n");
}

TEST_F(ToolTest, Json) {
  EXPECT_EQ(DoneJson({"set", "k", "v", "--flags", "9"})["stored"], true);
  const auto record = DoneJson({"get", "k"});
  EXPECT_EQ(record["value"], "v");
  EXPECT_EQ(record["flags"], 9);
  const Outcome miss = Run({"-o", "json", "get", "missing"});
  EXPECT_EQ(miss.status, kExitRefused);
  EXPECT_TRUE(gyre::client::Json::parse(miss.out)["value"].is_null());
  cluster_.store().Put("binary", "\xff");
  EXPECT_EQ(DoneJson({"get", "binary"})["value_base64"], "/w==");
  EXPECT_EQ(DoneJson({"incr", "n", "5"})["value"], 5);
  EXPECT_EQ(DoneJson({"dbsize"})["keys"], 3);
  EXPECT_EQ(DoneJson({"exists", "k"})["exists"], 1);
  EXPECT_EQ(DoneJson({"ping"})["ok"], true);
}

TEST_F(ToolTest, ManyKeys) {
  EXPECT_EQ(Done({"mset", "a", "1", "b", "2"}), "2\n");
  EXPECT_EQ(Done({"mget", "a", "x", "b"}), "a\t1\nx\t(nil)\nb\t2\n");
  EXPECT_EQ(DoneJson({"mget", "a", "x"})[1]["value"], nullptr);
  EXPECT_EQ(Run({"mget", "x", "y"}).status, kExitRefused);
  EXPECT_EQ(Done({"exists", "a", "b", "x"}), "2\n");
  EXPECT_EQ(Done({"touch", "a"}), "1\n");
  EXPECT_EQ(Done({"keys"}), "a\nb\n");
  EXPECT_EQ(Done({"scan"}), "a\nb\n");
  EXPECT_EQ(Done({"scan", "--limit", "1"}), "a\n");
  EXPECT_EQ(DoneJson({"keys", "*"}).size(), 2u);
}

TEST_F(ToolTest, Numbers) {
  EXPECT_EQ(Done({"incr", "n"}), "1\n");
  EXPECT_EQ(Done({"incr", "n", "10"}), "11\n");
  EXPECT_EQ(Done({"decr", "n", "20"}), "-9\n");
  EXPECT_EQ(Done({"append", "n", "0"}), "3\n");
  EXPECT_EQ(Done({"strlen", "n"}), "3\n");
  cluster_.store().Put("text", "abc");
  const Outcome wrong = Run({"incr", "text"});
  EXPECT_EQ(wrong.status, kExitRefused);
  EXPECT_THAT(wrong.err, HasSubstr("wrong_type"));
  EXPECT_EQ(Run({"decr", "n", "-9223372036854775808"}).status, kExitUsage);
}

TEST_F(ToolTest, Expiry) {
  const std::pair<const char*, const char*> table[] = {
      {"10", "10\n"}, {"1500ms", "2\n"}, {"2m", "120\n"}, {"1h", "3600\n"}, {"0.5d", "43200\n"}};
  for (const auto& [ttl, seconds] : table) {
    EXPECT_EQ(Done({"set", "k", "v", "--ttl", ttl}), "OK\n");
    EXPECT_EQ(Done({"ttl", "k"}), seconds);
  }
  EXPECT_EQ(Done({"persist", "k"}), "OK\n");
  EXPECT_EQ(Done({"ttl", "k"}), "never\n");
  EXPECT_EQ(Run({"persist", "k"}).status, kExitRefused);
  EXPECT_EQ(Done({"expire", "k", "3s"}), "OK\n");
  EXPECT_EQ(DoneJson({"ttl", "k"})["ttl_ms"], 3000);
  EXPECT_EQ(Run({"ttl", "missing"}).status, kExitRefused);
  EXPECT_EQ(Run({"expire", "missing", "3s"}).status, kExitRefused);
}

TEST_F(ToolTest, FlushAllWantsAYes) {
  cluster_.store().Put("k", "v");
  EXPECT_EQ(Run({"flushall"}).status, kExitUsage);
  EXPECT_EQ(cluster_.store().size(), 1u);
  EXPECT_EQ(Done({"flushall", "--yes"}), "OK\n");
  EXPECT_EQ(cluster_.store().size(), 0u);
}

TEST_F(ToolTest, FlushAllAsksAPersonForTheClustersName) {
  const auto flush = [this](const std::string& typed) {
    cluster_.store().Put("k", "v");
    std::istringstream in(typed);
    std::ostringstream out;
    std::ostringstream err;
    const int status =
        RunTool({"--connect", cluster_.node(0).address(), "flushall"}, {in, out, err, true, true});
    EXPECT_THAT(out.str(), StartsWith("removes 1 keys of cluster fake."));
    return status;
  };
  for (const char* no : {"", "\n", "yes\n", "Fake\n", "fake \n"}) {
    EXPECT_EQ(flush(no), kExitRefused) << no;
    EXPECT_EQ(cluster_.store().size(), 1u);
  }
  EXPECT_EQ(flush("fake\n"), kExitDone);
  EXPECT_EQ(cluster_.store().size(), 0u);
}

TEST_F(ToolTest, FlushAllOfAScriptWantsAYes) {
  cluster_.store().Put("k", "v");
  Piped("flushall\n", kExitUsage);
  Piped("FLUSHDB\n", kExitUsage);
  EXPECT_EQ(cluster_.store().size(), 1u);
  EXPECT_EQ(Piped("flushall --yes\n"), "OK\n");
  EXPECT_EQ(cluster_.store().size(), 0u);
}

TEST_F(ToolTest, AcksTravel) {
  Done({"--write-acks", "2", "set", "k", "v"});
  EXPECT_EQ(cluster_.node(cluster_.OwnerOf("k")).last_write_acks(), 2u);
  Piped("set k v\n");
  EXPECT_EQ(cluster_.node(cluster_.OwnerOf("k")).last_write_acks(), 0u);
  Piped("set k v --write-acks 2\n");
  EXPECT_EQ(cluster_.node(cluster_.OwnerOf("k")).last_write_acks(), 2u);
}

// ---- The cluster -------------------------------------------------------------------------------

TEST_F(ToolTest, StatusForPeopleAndScripts) {
  const Outcome status = Run({"status"});
  EXPECT_EQ(status.status, kExitRefused) << "n2 is dead";
  EXPECT_THAT(status.out, StartsWith("DEGRADED  cluster fake"));
  EXPECT_THAT(status.out, HasSubstr("n2 dead"));
  EXPECT_THAT(status.out, HasSubstr("9.9.9"));
  EXPECT_THAT(status.out, HasSubstr("50%"));
  const Json document = Json::parse(Run({"status", "-o", "json"}).out);
  EXPECT_EQ(document["verdict"], "DEGRADED");
  EXPECT_EQ(document["findings"][0]["code"], "node_dead");
  EXPECT_EQ(document["nodes"][1]["state"], "dead");
  EXPECT_EQ(document["nodes"][2]["version"], "9.9.9");
  EXPECT_EQ(document["cluster"], "fake") << "what the node tells is there as well";
  EXPECT_THAT(Run({"status", "--all"}).out, HasSubstr("used: 1.0 MiB"));
}

TEST_F(ToolTest, Ring) {
  const std::string text = Done({"ring"});
  EXPECT_THAT(text, StartsWith("64 partitions"));
  EXPECT_THAT(text, HasSubstr("n3"));
  const auto ring = DoneJson({"ring"});
  int owned = 0;
  for (const auto& node : ring["nodes"]) owned += node["partitions_owned"].get<int>();
  EXPECT_EQ(owned, 64);
}

TEST_F(ToolTest, Locate) {
  const std::string key = cluster_.KeyOwnedBy(1);
  EXPECT_THAT(Done({"locate", key}), HasSubstr("owner: n2"));
  EXPECT_EQ(DoneJson({"locate", key})["owner"], "n2");
}

TEST_F(ToolTest, DrainByNameIdOrAddress) {
  EXPECT_THAT(Done({"drain", "n2"}), HasSubstr("n2 has left the ring"));
  EXPECT_EQ(DoneJson({"ring"})["nodes"].size(), 2u);
  EXPECT_THAT(Done({"drain", cluster_.node(2).address()}), HasSubstr("n3 has left"));
  const Outcome unknown = Run({"drain", "n9"});
  EXPECT_EQ(unknown.status, kExitRefused);
  EXPECT_THAT(unknown.err, HasSubstr("there are: n1"));
}

TEST_F(ToolTest, UndrainsByNameIdOrAddressAlsoWhoIsDown) {
  const std::string id = DoneJson({"ring"})["nodes"][1]["id"];
  EXPECT_THAT(Done({"undrain", cluster_.node(1).address()}), HasSubstr("n2 takes its place"));
  EXPECT_EQ(DoneJson({"undrain", "n2"})["name"], "n2");
  EXPECT_EQ(DoneJson({"undrain", "n9"})["undrained"], true);
  EXPECT_EQ(cluster_.undrained(), id + " " + id + " n9");
}

TEST_F(ToolTest, RebalanceShowsHowFarItIs) {
  const std::string text = Done({"rebalance"});
  EXPECT_THAT(text, StartsWith("rebalance: 25.0% done, 6 partitions, 3.0 MiB left, 1.0 MiB/s, 3 s "
                               "to go; limit 1.0 MiB/s\nleaving: n3, 6 partitions left\n"));
  EXPECT_THAT(text, HasSubstr("no answer"));
  EXPECT_EQ(DoneJson({"rebalance"})["left_bytes"], 3145728);
  EXPECT_EQ(Json::parse(Run({"status", "-o", "json"}).out)["rebalance"]["eta_seconds"], 3);
}

TEST_F(ToolTest, AdviseAnswersInOneLineAndSaysWhy) {
  const auto advice = [](int nodes, int advised, const std::string& against) {
    return R"({"cluster":"fake","nodes":)" + std::to_string(nodes) + R"(,"advised_nodes":)" +
           std::to_string(advised) + R"(,"wanted_nodes":4,"direction":"out","signals":{)" +
           R"("memory":{"known":true,"nodes":4,"allows_in":false,"text":"would gain 4.1"},)" +
           R"("busy":{"known":true,"nodes":3,"allows_in":true,"text":"loops are busy 31%"},)" +
           R"("network":{"known":false,"nodes":3,"allows_in":true,"text":"unknown"}},"against":[)" +
           against + R"(],"forecasts":[{"nodes":3,"hit_ratio":0.92,"busy_ratio":0.31,)" +
           R"("network_ratio":null,"memory_ratio":1},{"nodes":4,"hit_ratio":0.961}]})";
  };
  cluster_.Advise(advice(3, 4, ""));
  Outcome outcome = Run({"advise"});
  EXPECT_EQ(outcome.status, kExitRefused) << "something is advised";
  EXPECT_THAT(outcome.out, StartsWith("SCALE OUT  cluster fake"));
  EXPECT_THAT(outcome.out, HasSubstr(" + memory   would gain 4.1\n"));
  EXPECT_THAT(outcome.out, HasSubstr(" - busy     loops are busy 31%\n"));
  EXPECT_THAT(outcome.out, HasSubstr(" ? network  unknown\n"));
  EXPECT_THAT(outcome.out, HasSubstr("92.0%"));
  EXPECT_THAT(outcome.out, HasSubstr("96.1%"));

  cluster_.Advise(advice(3, 3, R"({"code":"cooldown","text":"cooldown: 2m"})"));
  outcome = Run({"advise"});
  EXPECT_EQ(outcome.status, kExitDone);
  EXPECT_THAT(outcome.out, StartsWith("STAY  cluster fake"));
  EXPECT_THAT(outcome.out, HasSubstr("4 asked for now"));
  EXPECT_THAT(outcome.out, HasSubstr(" ! cooldown: 2m\n"));
  EXPECT_EQ(DoneJson({"advise"})["advised_nodes"], 3);

  cluster_.Advise(advice(4, 3, ""));
  EXPECT_THAT(Run({"advise"}).out, StartsWith("SCALE IN  cluster fake"));
  // Nothing that a node sends makes it fail.
  for (const char* odd :
       {R"({"nodes":0,"advised_nodes":0})", R"({"nodes":"x","signals":[1],"against":7})",
        R"({"nodes":2,"advised_nodes":3,"signals":{"busy":1},"forecasts":[3]})"}) {
    cluster_.Advise(odd);
    EXPECT_EQ(Run({"advise"}).status, kExitRefused) << odd;
  }
  cluster_.Advise("no JSON");
  EXPECT_THAT(Run({"advise"}).err, HasSubstr("not a JSON object"));
}

TEST_F(ToolTest, RebalanceIsPausedResumedAndLimited) {
  Done({"rebalance", "pause"});
  Done({"rebalance", "resume"});
  Done({"rebalance", "limit", "50MiB"});
  Done({"rebalance", "limit", "0"});
  Done({"rebalance", "limit", "Default"});
  EXPECT_EQ(
      cluster_.rebalance(),
      "/pause/STATUS/resume/STATUS/limit 52428800/STATUS/limit 0/STATUS/limit default/STATUS");
  for (const std::vector<std::string>& bad :
       std::vector<std::vector<std::string>>{{"rebalance", "faster"},
                                             {"rebalance", "limit"},
                                             {"rebalance", "limit", "many"},
                                             {"rebalance", "limit", "-1"},
                                             {"rebalance", "limit", "defaults"},
                                             {"rebalance", "pause", "5"},
                                             {"rebalance", "pause", "default"}}) {
    EXPECT_EQ(Run(bad).status, kExitUsage) << bad.back();
  }
}

TEST_F(ToolTest, ARefusedDrainIsTold) {
  Mischief refuse;
  wire::Error* error = refuse.reply.emplace().mutable_value()->mutable_error();
  error->set_code(static_cast<std::uint32_t>(ErrorCode::kNotAllowed));
  error->set_message("the last node stays");
  cluster_.node(0).Misbehave("DRAIN", refuse);
  const Outcome outcome = Run({"drain", "n1"});
  EXPECT_EQ(outcome.status, kExitRefused);
  EXPECT_THAT(outcome.err, HasSubstr("the last node stays"));
}

TEST_F(ToolTest, ANodeThatLeavesBeforeItsAnswerHasLeft) {
  Options options = DefaultOptions();
  Mischief vanish;
  vanish.execute = true;
  vanish.close = true;
  for (std::size_t i = 0; i < 3; ++i) cluster_.node(i).Misbehave("DRAIN", vanish, 1);
  // Repeated elsewhere, DRAIN finds nobody of this name any more.
  EXPECT_THAT(Run({"drain", "n1"}).out + Run({"ring"}).out, HasSubstr("n2"));
  EXPECT_EQ(DoneJson({"ring"})["nodes"].size(), 2u);
}

// ---- The shell ---------------------------------------------------------------------------------

// What `gyre WORD ...` does, and the same line from a pipe.
TEST_F(ToolTest, OneGrammar) {
  struct Case {
    std::vector<std::string> words;
    int status;
    std::string out;
  };
  const Case table[] = {{{"set", "k", "hello", "EX", "9"}, kExitDone, "OK\n"},
                        {{"SET", "k", "hello", "--ttl", "9s"}, kExitDone, "OK\n"},
                        {{"pttl", "k"}, kExitDone, "9000\n"},
                        {{"ttl", "k"}, kExitDone, "9\n"},
                        {{"get", "k"}, kExitDone, "hello\n"},
                        {{"get", "k", "--raw"}, kExitDone, "hello"},
                        {{"expire", "k", "5s"}, kExitDone, "OK\n"},
                        {{"incr", "n", "-5"}, kExitDone, "-5\n"},
                        {{"incrby", "n", "-5"}, kExitDone, "-10\n"},
                        {{"set", "neg", "-7"}, kExitDone, "OK\n"},
                        {{"set", "opt", "--", "--ttl"}, kExitDone, "OK\n"},
                        {{"get", "opt"}, kExitDone, "--ttl\n"},
                        {{"set", "json", "[1,2,3]"}, kExitDone, "OK\n"},
                        {{"mset", "json", "[1,2,3]", "braces", "{}"}, kExitDone, "2\n"},
                        {{"mget", "json", "braces"}, kExitDone, "json\t[1,2,3]\nbraces\t{}\n"},
                        {{"exists", "[json,n]"}, kExitRefused, "0\n"},
                        {{"set", "empty", ""}, kExitDone, "OK\n"},
                        {{"get", "empty"}, kExitDone, "\n"},
                        {{"get", "missing"}, kExitRefused, ""},
                        {{"setnx", "k"}, kExitUsage, ""},
                        {{"incr", "n", "much"}, kExitUsage, ""},
                        {{"gte", "k"}, kExitUsage, ""},
                        {{"dbsize", "-o", "json"}, kExitDone, "{\"keys\":7}\n"},
                        {{"set", "k", "v", "XX", "-o", "json"}, kExitDone, "\"OK\"\n"}};
  for (const Case& row : table) {
    std::string line;
    for (const std::string& word : row.words) {
      line += (word.empty() ? "''" : word) + " ";
    }
    const int counter = cluster_.store().Get("n") ? std::stoi(*cluster_.store().Get("n")) : 0;
    const Outcome one_shot = Run(row.words);
    EXPECT_EQ(one_shot.status, row.status) << line << one_shot.err;
    EXPECT_EQ(one_shot.out, row.out) << line;
    if (line.starts_with("incr")) cluster_.store().Put("n", std::to_string(counter));
    const Outcome piped = Run({}, line + "\n");
    EXPECT_EQ(piped.status, row.status) << line << piped.err;
    EXPECT_EQ(piped.out, row.out) << line;
  }
}

TEST_F(ToolTest, PipedCommands) {
  EXPECT_EQ(Piped("\xef\xbb\xbfSET k \"a b\" EX 10\r\n\n# a comment\n  # another\nGET k\nPTTL k\n"
                  "quit\nGET never\n"),
            "OK\na b\n10000\n");
  EXPECT_EQ(Piped("get k"), "a b\n");  // without a newline behind the last
}

TEST_F(ToolTest, QuotedWordsAreNoOptions) {
  EXPECT_EQ(Piped("set k \"--help\"\nget k\nset '-o' v\nget '-o'\n"), "OK\n--help\nOK\nv\n");
}

TEST_F(ToolTest, TheWorstStatusWins) {
  EXPECT_EQ(Piped("SET k v\nGET missing\nGET k\n", kExitRefused), "OK\nv\n");
  Piped("GET missing\nset k v --ttl nonsense\nGET k\n", kExitUsage);
  Piped("GET \"open\n", kExitUsage);
}

TEST_F(ToolTest, ErrorsInAPipeNameTheLine) {
  cluster_.store().Put("text", "abc");
  const std::string script = "# comment\n\nget missing\nget \"open\nincr text\ngte k\nset k\n";
  const Outcome outcome = Run({}, script);
  EXPECT_EQ(outcome.status, kExitUsage);
  EXPECT_EQ(outcome.out, "");
  EXPECT_THAT(outcome.err, StartsWith("gyre: line 3: (nil)\ngyre: line 4: "));
  EXPECT_THAT(outcome.err, HasSubstr("gyre: line 5: wrong_type: "));
  EXPECT_THAT(outcome.err, HasSubstr("gyre: line 6: there is no command 'gte'; did you mean get"));
  EXPECT_THAT(outcome.err, HasSubstr("gyre: line 7: set takes KEY VALUE"));
  const Outcome json = Run({"-o", "json"}, "\nincr text\n");
  EXPECT_EQ(gyre::client::Json::parse(json.out)["error"]["line"], 2);
}

TEST_F(ToolTest, TheShellKnowsTheToolsWords) {
  EXPECT_THAT(Piped("ring\n"), StartsWith("64 partitions"));
  EXPECT_EQ(Piped("set k v --ttl 5s\nPTTL k\n"), "OK\n5000\n");
  EXPECT_THAT(Piped("help\n"), HasSubstr("quit"));
  EXPECT_THAT(Piped("help get\n"), StartsWith("Prints a value\nUsage: gyre get KEY"));
  EXPECT_THAT(Piped("status --help\n"), HasSubstr("Usage"));
  EXPECT_THAT(Run({"-o", "json"}, "SET k v\nKEYS *\n").out,
              HasSubstr("{\"stored\":true}\n[\"k\"]"));
}

TEST_F(ToolTest, AnOptionHoldsForItsLineAlone) {
  cluster_.store().Put("k", "v");
  EXPECT_EQ(
      Piped("dbsize -o json\ndbsize\nget k --raw\nget k\nset k 1 --nx\nset k 2\n", kExitRefused),
      "{\"keys\":1}\n1\nvv\nnot stored: the condition is not met\nOK\n");
}

TEST_F(ToolTest, ACommandIsRepeated) {
  EXPECT_EQ(Done({"-r", "3", "incr", "n"}), "1\n2\n3\n");
  EXPECT_EQ(Done({"incr", "n", "--repeat", "2", "--pause", "0.001"}), "4\n5\n");
  EXPECT_EQ(Piped("incr n -r 2\nincr n\n"), "6\n7\n8\n") << "of one line alone";
  EXPECT_EQ(Run({"-r", "2", "get", "missing"}).status, kExitRefused);
}

TEST_F(ToolTest, PipeRunsWhatItReads) {
  const Outcome good = Run({"pipe"}, "SET a 'x y'\n# nothing\n*2\r\n$3\r\nGET\r\n$1\r\na\r\n");
  EXPECT_EQ(good.status, kExitDone) << good.err;
  EXPECT_THAT(good.out, StartsWith("2 commands, 0 errors, "));
  EXPECT_EQ(cluster_.store().Get("a"), "x y");
  const Outcome bad = Run({"pipe", "-o", "json"}, "INCR a\nSET 'open\nSET b 1\n");
  EXPECT_EQ(bad.status, kExitRefused);
  const Json summary = Json::parse(bad.out);
  EXPECT_EQ(summary["errors"], 2);
  EXPECT_EQ(summary["complete"], true);
  EXPECT_EQ(cluster_.store().Get("b"), "1");
  EXPECT_EQ(Run({}, "pipe\n").status, kExitUsage);
}

TEST_F(ToolTest, HelpOfAGroupAndOfAContainer) {
  EXPECT_THAT(Done({"help", "operator"}), HasSubstr("\n  status "));
  EXPECT_THAT(Done({"help", "redis"}), HasSubstr("getrange KEY START END"));
  EXPECT_THAT(Done({"help", "values"}), HasSubstr("\n  get KEY "));
  EXPECT_THAT(Done({"help", "object"}), HasSubstr("encoding <key>"));
  EXPECT_EQ(Run({"help", "nosuchgroup"}).status, kExitUsage);
}

TEST_F(ToolTest, WhatTheShellCannotDoItSays) {
  EXPECT_THAT(Run({}, "get k --connect 127.0.0.1:1\n").err, HasSubstr("connect HOST"));
  EXPECT_THAT(Run({}, "set k -x\n").err, HasSubstr("standard input has the commands"));
}

TEST_F(ToolTest, TheLastArgumentMayComeFromStandardInput) {
  std::string bytes = "\nleading";
  for (int byte = 0; byte < 256; ++byte) bytes += static_cast<char>(byte);
  for (int i = 0; i < 12; ++i) bytes += bytes;  // more than one read
  for (const std::vector<std::string>& args : std::vector<std::vector<std::string>>{
           {"-x", "set", "k"}, {"set", "-x", "k"}, {"set", "k", "-x"}, {"setnx", "new", "-x"}}) {
    EXPECT_EQ(Run(args, bytes).status, args[0] == "setnx" ? kExitRefused : kExitDone);
  }
  EXPECT_EQ(cluster_.store().Get("k"), bytes);
  EXPECT_EQ(Run({"get", "k", "--raw"}).out, bytes);
  EXPECT_EQ(Run({"set", "k", "-x", "--ttl", "5s"}, "").status, kExitDone);
  EXPECT_EQ(cluster_.store().Get("k"), "");
  EXPECT_EQ(Run({"get", "-x"}, "k").out, "\n");
  EXPECT_EQ(Run({"set", "k", "-"}, "bytes").status, kExitDone);
  EXPECT_EQ(cluster_.store().Get("k"), "-");
}

TEST_F(ToolTest, ATerminalIsNotSentWhatItWouldObey) {
  cluster_.store().Put("k", "\x1b[2J");
  std::istringstream in;
  std::ostringstream out;
  std::ostringstream err;
  EXPECT_EQ(
      RunTool({"--connect", cluster_.node(0).address(), "get", "k"}, {in, out, err, false, true}),
      kExitDone);
  EXPECT_EQ(out.str(), "\"\\x1b[2J\"\n");
  EXPECT_EQ(Done({"get", "k"}), "\x1b[2J\n");
}

TEST_F(ToolTest, UnwritableOutputIsAnError) {
  cluster_.store().Put("k", "v");
  std::istringstream in;
  std::ostringstream out;
  std::ostringstream err;
  out.setstate(std::ios::badbit);
  EXPECT_EQ(RunTool({"--connect", cluster_.node(0).address(), "get", "k"}, {in, out, err}),
            kExitRefused);
  EXPECT_THAT(err.str(), HasSubstr("standard output"));
}

TEST_F(ToolTest, UnknownCommandsGetAHint) {
  const Outcome outcome = Run({}, "GTE k\n");
  EXPECT_EQ(outcome.status, kExitUsage);
  EXPECT_THAT(outcome.err, HasSubstr("did you mean get"));
}

TEST(CompletionsTest, FollowTheCaseThatIsTyped) {
  const CommandLine commands;
  EXPECT_THAT(Completions(commands, "pex"),
              testing::ElementsAre("pexpire", "pexpireat", "pexpiretime"));
  EXPECT_THAT(Completions(commands, "LOC"), testing::ElementsAre("LOCATE"));
  EXPECT_TRUE(Completions(commands, "zzz").empty());
  EXPECT_GT(Completions(commands, "").size(), 40u);
}

// ---- The load generator ------------------------------------------------------------------------

TEST_F(ToolTest, BenchCountsWhatItSends) {
  const auto report = DoneJson({"bench", "--requests", "2000", "--connections", "7", "--pipeline",
                                "16", "--threads", "2", "--keys", "100", "--ratio", "1:1"});
  EXPECT_EQ(report["requests"], 2000);
  EXPECT_EQ(report["errors"], 0);
  EXPECT_EQ(report["hits"].get<int>() + report["misses"].get<int>() + report["stored"].get<int>(),
            2000);
  EXPECT_GT(report["stored"], 0);
  EXPECT_GT(report["latency_us"]["p50"], 0.0);
  EXPECT_GE(report["latency_us"]["max"], report["latency_us"]["p99.9"]);
}

TEST_F(ToolTest, BenchLoadWritesEveryKeyOnce) {
  const auto report = DoneJson({"bench", "--load", "--keys", "300", "--requests", "1000", "--ratio",
                                "0:1", "--connections", "4", "--key-pattern", "zipf"});
  EXPECT_EQ(cluster_.store().size(), 300u);
  EXPECT_EQ(report["hits"], 1000);
}

TEST_F(ToolTest, BenchRoutedAsksOwnersOnly) {
  const auto report = DoneJson({"bench", "--routed", "--load", "--keys", "300", "--requests", "900",
                                "--connections", "2", "--pipeline", "4"});
  EXPECT_EQ(report["errors"], 0);
  EXPECT_EQ(cluster_.store().size(), 300u);
  for (std::size_t i = 0; i < 3; ++i) EXPECT_GT(cluster_.node(i).count("GET"), 0u);
}

TEST_F(ToolTest, BenchOfLargeValues) {
  const auto report = DoneJson({"bench", "--requests", "50", "--connections", "2", "--value-size",
                                "1000000", "--ratio", "1:1", "--keys", "3"});
  EXPECT_EQ(report["requests"], 50);
  EXPECT_EQ(report["errors"], 0);
}

TEST_F(ToolTest, BenchEndsByTime) {
  const auto report = DoneJson(
      {"bench", "--duration", "0.05", "--connections", "2", "--key-pattern", "sequential"});
  EXPECT_GT(report["requests"], 0);
}

TEST_F(ToolTest, BenchNoticesAnotherProtocol) {
  Mischief babble;
  babble.bytes = "HTTP/1.1 400 Bad Request\r\n\r\n";
  cluster_.node(0).Misbehave("GET", babble, 1000);
  const Outcome outcome = Run({"bench", "--requests", "100", "--ratio", "0:1"});
  EXPECT_EQ(outcome.status, kExitRefused);
  EXPECT_THAT(outcome.out, HasSubstr("--protocol"));
}

}  // namespace
}  // namespace gyre::client
