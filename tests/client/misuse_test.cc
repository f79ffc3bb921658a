// What must end with an error that says what to do, and never hang or crash: clients that were moved
// from or forked, options beyond all bounds, ports of other protocols, keys and values of any bytes.
#include <arpa/inet.h>
#include <gmock/gmock.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>
#include <thread>

#include "client/fixture.h"

namespace {
bool is_child = false;
}  // namespace

// A forked child has the memory of its parent's threads, but not the threads, whose stacks held on to it: no leak.
extern "C" int __lsan_is_turned_off();
extern "C" int __lsan_is_turned_off() { return is_child ? 1 : 0; }

namespace gyre::client {
namespace {

using testing::HasSubstr;

class MisuseTest : public ClientTest {
 protected:
  // Every call of the client, each by its own road.
  static std::vector<ErrorCode> CodesOfAllCalls(Client& client) {
    std::vector<ErrorCode> codes = {CodeOf(client.Get("k")),
                                    CodeOf(client.Set("k", "v")),
                                    CodeOf(client.CompareAndSet("k", "v", 1)),
                                    CodeOf(client.Del("k")),
                                    CodeOf(client.Exists("k")),
                                    CodeOf(client.Incr("k")),
                                    CodeOf(client.Append("k", "v")),
                                    CodeOf(client.Strlen("k")),
                                    CodeOf(client.Expire("k", 1s)),
                                    CodeOf(client.Persist("k")),
                                    CodeOf(client.Touch("k")),
                                    CodeOf(client.Ttl("k")),
                                    CodeOf(client.MGet({"k"})[0]),
                                    CodeOf(client.MSet({{"k", "v"}})[0]),
                                    CodeOf(client.MDel({"k"})[0]),
                                    CodeOf(client.Execute({"PING"})),
                                    CodeOf(client.ExecuteOn("127.0.0.1:1", {"PING"})),
                                    CodeOf(client.GetAsync("k").Get()),
                                    CodeOf(client.SetAsync("k", "v").Get()),
                                    CodeOf(client.DelAsync("k").Get()),
                                    CodeOf(client.IncrAsync("k").Get()),
                                    CodeOf(client.ExecuteAsync({"PING"}).Get()),
                                    CodeOf(client.ExecuteMany({{"PING"}})[0]),
                                    CodeOf(client.MGetAsync({"k"}).Get()[0]),
                                    CodeOf(client.Watch()),
                                    CodeOf(client.RefreshRing())};
    const auto note = [&](const auto& result) { codes.push_back(CodeOf(result)); };
    client.GetAsync("k").Then(note);
    client.MSetAsync({{"k", "v"}}).Then([&](const auto& results) { note(results[0]); });
    client.CancelAll();
    EXPECT_TRUE(client.Ring().nodes.empty());
    EXPECT_TRUE(client.Locate("k").holders.empty());
    EXPECT_EQ(client.GetStats().requests, 0u);
    return codes;
  }

  // The exit status of a child that runs `body`; the child ends as programs do, destructors
  // included. A child that hangs is killed by its alarm.
  static int ExitOfChild(const std::function<int()>& body) {
    const pid_t child = fork();
    if (child == 0) {
      is_child = true;
      alarm(20);
      std::exit(body());
    }
    int status = 0;
    waitpid(child, &status, 0);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 1000 + status;
  }
};

// ---- Moved from --------------------------------------------------------------------------------

TEST_F(MisuseTest, AMovedFromClientAnswersWithErrors) {
  Connect();
  Client moved = std::move(*client_);
  EXPECT_THAT(CodesOfAllCalls(*client_), testing::Each(ErrorCode::kNotAllowed));
  EXPECT_THAT(client_->Get("k").error().message, HasSubstr("moved"));
  EXPECT_TRUE(moved.Set("k", "v"));
}

// The node would send it to whoever else uses the connection.
TEST_F(MisuseTest, SharedConnectionsAreNotSubscribed) {
  Connect();
  const Result<Value> refused = client_->Execute({"feed", "FROM", "0"});
  ASSERT_FALSE(refused.ok());
  EXPECT_EQ(refused.error().code, ErrorCode::kNotAllowed);
  EXPECT_THAT(refused.error().message, HasSubstr("Client::Watch"));
}

TEST_F(MisuseTest, AFeedIsRefusedWithoutNodesThatHaveOne) {
  Connect();
  const Result<Feed> feed = client_->Watch({.open_within = 300ms});
  ASSERT_FALSE(feed.ok());
  EXPECT_EQ(feed.error().code, ErrorCode::kUnavailable);
  EXPECT_THAT(feed.error().message, HasSubstr("partitions can be read; last: "));
  EXPECT_THAT(client_->Watch({.cursor = "no cursor"}).error().message, HasSubstr("no cursor"));
}

TEST_F(MisuseTest, MovingOntoAClientEndsTheOldOne) {
  Connect();
  cluster_.node(1).Pause();
  const std::string key = cluster_.KeyOwnedBy(1);
  auto waiting = client().GetAsync(key);
  Result<Client> other = Client::Connect(DefaultOptions());
  ASSERT_TRUE(other);
  client() = std::move(*other);
  EXPECT_EQ(CodeOf(waiting.Get()), ErrorCode::kClosed);
  cluster_.node(1).Resume();
  EXPECT_TRUE(client().Set(key, "v"));
  Client& same = client();
  client() = std::move(same);
  EXPECT_EQ(Read(key), "v");
}

// ---- Forked ------------------------------------------------------------------------------------

TEST_F(MisuseTest, AForkedChildIsToldToConnectAgain) {
#ifdef __SANITIZE_THREAD__
  GTEST_SKIP() << "ThreadSanitizer knows no threads that a forked child starts";
#endif
  Connect();
  ASSERT_TRUE(client().Set("k", "v"));
  const int status = ExitOfChild([this] {
    for (const ErrorCode code : CodesOfAllCalls(client())) {
      if (code != ErrorCode::kNotAllowed) return 1;
    }
    const auto get = client().Get("k");
    if (get.error().message.find("Connect") == std::string::npos) return 2;
    Options options = DefaultOptions();
    options.seeds = {"localhost:" + std::to_string(cluster_.node(0).port())};
    Result<Client> own = Client::Connect(options);
    if (!own) return 3;
    const auto record = own->Get("k");
    if (!record || !*record || (*record)->value != "v") return 4;
    client() = std::move(*own);  // drops the parent's
    return client().Get("k") ? 0 : 5;
  });
  EXPECT_EQ(status, 0);
  EXPECT_EQ(Read("k"), "v");
}

TEST_F(MisuseTest, AForkedChildEndsAndItsParentGoesOn) {
  static std::optional<Client> global;  // destroyed behind main
  Result<Client> connected = Client::Connect(DefaultOptions());
  ASSERT_TRUE(connected);
  global.emplace(std::move(*connected));
  Connect();
  EXPECT_EQ(ExitOfChild([this] {
              client_.reset();
              return 0;
            }),
            0);
  EXPECT_TRUE(client().Set("k", "v"));
  EXPECT_TRUE(global->Get("k"));
  global.reset();
}

Detached NoteEnd(Operation<Result<bool>> operation, ErrorCode& code) {
  const Result<bool> result = co_await operation;
  code = result ? ErrorCode::kInternal : result.error().code;
}

TEST_F(MisuseTest, AForkedChildDoesNotWaitForItsParentsCalls) {
  Connect();
  const std::string key = cluster_.KeyOwnedBy(1);
  auto complete = client().SetAsync(key, "v");
  ASSERT_TRUE(complete.WaitFor(kPatience));
  cluster_.node(1).Pause();
  auto waited = client().SetAsync(key, "1");
  auto told = client().MSetAsync({{key, "2"}, {key, "3"}});
  auto awaited = client().SetAsync(key, "4");
  const int status = ExitOfChild([&] {
    if (waited.WaitFor(kPatience)) return 1;
    if (CodeOf(waited.Get()) != ErrorCode::kNotAllowed) return 2;
    std::vector<Result<bool>> results;
    told.Then([&](std::vector<Result<bool>> all) { results = std::move(all); });
    if (results.size() != 2 || CodeOf(results[1]) != ErrorCode::kNotAllowed) return 3;
    ErrorCode code = ErrorCode::kInternal;
    NoteEnd(std::move(awaited), code);
    if (code != ErrorCode::kNotAllowed) return 4;
    return complete.Get() ? 0 : 5;
  });
  EXPECT_EQ(status, 0);
  cluster_.node(1).Resume();
  EXPECT_TRUE(waited.Get()) << "the parent's goes on";
  EXPECT_EQ(told.Get().size(), 2u);
}

// ---- Beyond the bounds -------------------------------------------------------------------------

TEST_F(MisuseTest, MoreAcksThanCopiesAreAnErrorAtOnce) {
  Options options = DefaultOptions();
  options.write_acks = FakeCluster::kReplicas + 1;
  const Result<Client> refused = Client::Connect(options);
  EXPECT_EQ(CodeOf(refused), ErrorCode::kInvalidArgument);
  EXPECT_THAT(refused.error().message, HasSubstr("keep 2 copies"));
  Connect();
  EXPECT_EQ(CodeOf(client().Set("k", "v", {}, {.write_acks = 3})), ErrorCode::kInvalidArgument);
  EXPECT_TRUE(client().Set("k", "v", {}, {.write_acks = 2}));
}

TEST_F(MisuseTest, DurationsBeyondAllBounds) {
  Connect();
  EXPECT_EQ(CodeOf(client().Set("k", "v", {.ttl = Milliseconds::max()})),
            ErrorCode::kInvalidArgument);
  EXPECT_EQ(CodeOf(client().Set("k", "v", {.ttl = Milliseconds::max(), .flags = 1})),
            ErrorCode::kInvalidArgument);
  EXPECT_EQ(CodeOf(client().Set("k", "v", {.ttl = -1ms})), ErrorCode::kInvalidArgument);
  EXPECT_TRUE(client().Set("k", "v", {.ttl = std::chrono::hours(24 * 365 * 900)}));
  EXPECT_EQ(CodeOf(client().Expire("k", Milliseconds::max())), ErrorCode::kInvalidArgument);
  EXPECT_EQ(CodeOf(client().Expire("k", -1ms)), ErrorCode::kInvalidArgument);
  EXPECT_TRUE(client().Set("k", "v", {}, {.deadline = Milliseconds::max()}));
  EXPECT_GT(cluster_.node(cluster_.OwnerOf("k")).last_deadline_ms(), 1'000'000'000u);
  for (Milliseconds Options::*duration :
       {&Options::deadline, &Options::connect_timeout, &Options::ring_refresh_interval}) {
    Options options = DefaultOptions();
    options.*duration = Milliseconds::max();
    EXPECT_EQ(CodeOf(Client::Connect(options)), ErrorCode::kInvalidArgument);
  }
}

TEST_F(MisuseTest, KeysAndValuesOfAnyBytes) {
  Connect();
  std::string all;
  for (int byte = 0; byte < 256; ++byte) all += static_cast<char>(byte);
  for (const std::string& key : {std::string(), all, std::string("\0", 1), std::string("{}"),
                                 std::string("}{"), std::string(60000, 'k')}) {
    ASSERT_TRUE(client().Set(key, all));
    EXPECT_EQ(Read(key), all);
    ASSERT_TRUE(client().Set(key, ""));
    EXPECT_EQ(Read(key), "");
    EXPECT_TRUE(*client().Del(key));
  }
}

TEST_F(MisuseTest, ClientsOfTwoThreads) {
  std::vector<std::thread> threads;
  for (int i = 0; i < 4; ++i) {
    threads.emplace_back([this, i] {
      for (int round = 0; round < 10; ++round) {
        Result<Client> client = Client::Connect(DefaultOptions());
        ASSERT_TRUE(client) << client.error().message;
        EXPECT_TRUE(client->Set("k" + std::to_string(i), "v"));
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
}

TEST_F(MisuseTest, ANameWithADeadAddressBeforeTheLiveOne) {
  // Where localhost is ::1 as well, nobody listens there.
  Options options = DefaultOptions();
  options.seeds = {"localhost:" + std::to_string(cluster_.node(0).port())};
  Connect(options);
  EXPECT_TRUE(client().Set("k", "v"));
}

// ---- Another protocol's port -------------------------------------------------------------------

// A server that reads up to the first newline, as text protocols do, and answers each with `answer`.
class TextServer {
 public:
  explicit TextServer(std::string answer) : answer_(std::move(answer)) {
    listener_ = socket(AF_INET, SOCK_STREAM, 0);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t bytes = sizeof address;
    if (bind(listener_, reinterpret_cast<sockaddr*>(&address), bytes) != 0) std::abort();
    getsockname(listener_, reinterpret_cast<sockaddr*>(&address), &bytes);
    port_ = ntohs(address.sin_port);
    listen(listener_, 4);
    thread_ = std::thread([this] { Serve(); });
  }
  ~TextServer() {
    shutdown(listener_, SHUT_RDWR);
    thread_.join();
    close(listener_);
  }
  std::string address() const { return "127.0.0.1:" + std::to_string(port_); }

 private:
  void Serve() const {
    const int fd = accept(listener_, nullptr, nullptr);
    char byte = 0;
    while (recv(fd, &byte, 1, 0) == 1) {
      if (byte == '\n') send(fd, answer_.data(), answer_.size(), MSG_NOSIGNAL);
    }
    close(fd);
  }

  const std::string answer_;
  int listener_ = -1;
  int port_ = 0;
  std::thread thread_;
};

TEST_F(MisuseTest, APortOfAnotherProtocolIsNamedAtOnce) {
  const std::pair<std::string, const char*> table[] = {
      {"ERROR\r\n", "speaks memcached's protocol"},
      {"-ERR unknown command\r\n", "speaks Redis's protocol"},
      {"HTTP/1.1 400 Bad Request\r\n\r\n", "speaks HTTP"},
      {std::string("\x15\x03\x01\x00\x02\x02\x0a", 7), "speaks TLS"},
      {"hello there\n", "speaks another protocol"}};
  for (const auto& [answer, says] : table) {
    const TextServer server(answer);
    Options options = DefaultOptions();  // with a deadline longer than the test may take
    options.seeds = {server.address()};
    const Result<Client> client = Client::Connect(options);
    EXPECT_EQ(CodeOf(client), ErrorCode::kCannotConnect);
    EXPECT_THAT(client.error().message, HasSubstr(says));
    EXPECT_THAT(client.error().message, HasSubstr("--port"));
  }
}

}  // namespace
}  // namespace gyre::client
