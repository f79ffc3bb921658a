// Many requests at once, bounds, threads and shutdown.
#include <atomic>
#include <future>
#include <thread>

#include "client/fixture.h"

namespace gyre::client {
namespace {

class AsyncTest : public ClientTest {};

TEST_F(AsyncTest, ManyRequestsAtOnce) {
  Connect();
  std::vector<Operation<Result<bool>>> sets;
  for (int i = 0; i < 500; ++i) {
    sets.push_back(client().SetAsync("k" + std::to_string(i), std::to_string(i)));
  }
  for (auto& set : sets) EXPECT_TRUE(*set.Get());
  auto get = client().GetAsync("k77");
  auto sum = client().IncrAsync("k78", 2);
  auto del = client().DelAsync("k79");
  auto ping = client().ExecuteAsync({"PING"});
  EXPECT_EQ((**get.Get()).value, "77");
  EXPECT_EQ(*sum.Get(), 80);
  EXPECT_TRUE(*del.Get());
  EXPECT_EQ(ping.Get()->text, "PONG");
}

TEST_F(AsyncTest, WritesOfOneKeyKeepTheirOrder) {
  Options options = DefaultOptions();
  options.connections_per_node = 3;
  Connect(options);
  std::vector<Operation<Result<Value>>> appends;
  std::string expected;
  for (int i = 0; i < 300; ++i) {
    const std::string piece = std::to_string(i) + ",";
    appends.push_back(client().ExecuteAsync({"APPEND", "log", piece}));
    expected += piece;
  }
  for (auto& append : appends) EXPECT_TRUE(append.Get().ok());
  EXPECT_EQ(Read("log"), expected);
}

TEST_F(AsyncTest, CallbacksMaySendMore) {
  Connect();
  std::promise<std::string> last;
  std::function<void(int)> step = [&](int left) {
    if (left == 0) {
      client().GetAsync("chain").Then(
          [&](Result<std::optional<Record>> record) { last.set_value((**record).value); });
      return;
    }
    client().IncrAsync("chain").Then([&, left](Result<std::int64_t> sum) {
      EXPECT_TRUE(sum.ok());
      step(left - 1);
    });
  };
  step(20);
  EXPECT_EQ(last.get_future().get(), "20");
}

TEST_F(AsyncTest, ABlockingCallInACallbackIsRefused) {
  Connect();
  std::promise<std::vector<ErrorCode>> codes;
  client().GetAsync("k").Then([&](const auto&) {
    codes.set_value({CodeOf(client().Get("k")), CodeOf(client().RefreshRing()),
                     CodeOf(client().MGet({"k"}).at(0))});
  });
  for (const ErrorCode code : codes.get_future().get()) EXPECT_EQ(code, ErrorCode::kNotAllowed);
}

// ---- Bounds ------------------------------------------------------------------------------------

TEST_F(AsyncTest, TooMuchInFlightIsRefusedNotQueued) {
  Options options = DefaultOptions();
  options.in_flight_bytes_max = 10000;
  Connect(options);
  for (std::size_t i = 0; i < 3; ++i) cluster_.node(i).Pause();
  std::vector<Operation<Result<bool>>> sets;
  for (int i = 0; i < 100; ++i) {
    sets.push_back(client().SetAsync("k" + std::to_string(i), std::string(500, 'x')));
  }
  EXPECT_LE(client().GetStats().in_flight_bytes, 10000u);
  for (std::size_t i = 0; i < 3; ++i) cluster_.node(i).Resume();
  int stored = 0;
  int overloaded = 0;
  for (auto& set : sets) {
    const Result<bool> result = set.Get();
    stored += result.ok() ? 1 : 0;
    overloaded += !result.ok() && result.error().code == ErrorCode::kOverloaded ? 1 : 0;
  }
  EXPECT_GT(stored, 0);
  EXPECT_GT(overloaded, 0);
  EXPECT_EQ(stored + overloaded, 100);
  EXPECT_EQ(client().GetStats().in_flight_bytes, 0u);
}

TEST_F(AsyncTest, BlockingCallsWaitForRoom) {
  Options options = DefaultOptions();
  options.in_flight_bytes_max = 5000;
  Connect(options);
  std::vector<std::thread> threads;
  std::atomic<int> failures{0};
  for (int thread = 0; thread < 4; ++thread) {
    threads.emplace_back([&, thread] {
      for (int i = 0; i < 50; ++i) {
        const std::string key = std::to_string(thread) + ":" + std::to_string(i);
        if (!client().Set(key, std::string(4000, 'x'))) ++failures;
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(failures, 0);
}

// ---- Threads and the end -----------------------------------------------------------------------

TEST_F(AsyncTest, ManyThreadsShareAClient) {
  Connect();
  std::vector<std::thread> threads;
  std::atomic<int> failures{0};
  for (int thread = 0; thread < 6; ++thread) {
    threads.emplace_back([&, thread] {
      for (int i = 0; i < 100; ++i) {
        const std::string key = "t" + std::to_string(thread) + ":" + std::to_string(i);
        if (!client().Set(key, key)) ++failures;
        if (Read(key) != key) ++failures;
        if (!client().Incr("shared")) ++failures;
        if (i % 20 == 0 && !client().RefreshRing()) ++failures;
        if (client().Ring().nodes.size() != 3 || client().Locate(key).holders.empty()) ++failures;
      }
    });
  }
  for (auto& thread : threads) thread.join();
  EXPECT_EQ(failures, 0);
  EXPECT_EQ(Read("shared"), "600");
}

TEST_F(AsyncTest, ReadersNeverNoticeAKilledNode) {
  Connect();
  std::vector<std::string> keys;
  for (int i = 0; i < 60; ++i) {
    keys.push_back("key" + std::to_string(i));
    cluster_.store().Put(keys.back(), keys.back());
  }
  std::atomic<bool> stop{false};
  std::atomic<int> reads{0};
  std::atomic<int> failures{0};
  std::vector<std::thread> threads;
  for (int thread = 0; thread < 3; ++thread) {
    threads.emplace_back([&] {
      while (!stop) {
        for (const std::string& key : keys) {
          if (Read(key) != key) ++failures;
          ++reads;
        }
      }
    });
  }
  for (std::size_t node : {1, 2, 1}) {
    const int before = reads;
    while (reads < before + 200) std::this_thread::yield();
    cluster_.Kill(node);
    cluster_.TellTruth();
    const int killed = reads;
    while (reads < killed + 200) std::this_thread::yield();
    cluster_.node(node).Start();
    cluster_.TellTruth();
  }
  stop = true;
  for (auto& thread : threads) thread.join();
  EXPECT_EQ(failures, 0);
}

TEST_F(AsyncTest, DestructionEndsWhatIsInFlight) {
  Connect();
  const std::string key = cluster_.KeyOwnedBy(1);
  ASSERT_TRUE(client().Set(key, "1"));
  cluster_.node(1).Pause();
  auto write = client().IncrAsync(key);
  cluster_.node(1).AwaitCount("INCRBY", 1);
  auto read = client().GetAsync(key);
  client_.reset();
  EXPECT_EQ(CodeOf(read.Get()), ErrorCode::kClosed);
  EXPECT_EQ(CodeOf(write.Get()), ErrorCode::kUnknownOutcome);
}

TEST_F(AsyncTest, CancelAllEndsWhatIsInFlightAndNothingElse) {
  Connect();
  const std::string key = cluster_.KeyOwnedBy(1);
  ASSERT_TRUE(client().Set(key, "1"));
  cluster_.node(1).Pause();
  auto write = client().IncrAsync(key);
  cluster_.node(1).AwaitCount("INCRBY", 1);
  auto read = client().GetAsync(key);
  client().CancelAll();
  EXPECT_EQ(CodeOf(read.Get()), ErrorCode::kCancelled);
  EXPECT_EQ(CodeOf(write.Get()), ErrorCode::kUnknownOutcome);
  cluster_.node(1).Resume();
  EXPECT_TRUE(client().Set(key, "2"));
  EXPECT_EQ(Read(key), "2");
}

TEST_F(AsyncTest, ACallbackMayDestroyTheClient) {
  Connect();
  std::promise<void> destroyed;
  client().GetAsync("k").Then([&](const auto&) {
    client_.reset();
    destroyed.set_value();
  });
  destroyed.get_future().wait();
}

TEST_F(AsyncTest, ManyClientsComeAndGo) {
  for (int i = 0; i < 20; ++i) {
    Connect();
    EXPECT_TRUE(client().Set("k", "v"));
    client_.reset();
  }
}

}  // namespace
}  // namespace gyre::client
