#include "net/event_loop.h"

#include <gtest/gtest.h>

#include <atomic>
#include <functional>
#include <memory>
#include <string>
#include <thread>
#include <utility>
#include <vector>

namespace gyre {
namespace {

using std::chrono::milliseconds;

std::unique_ptr<EventLoop> MakeLoop() { return std::move(EventLoop::Create().value()); }

TEST(EventLoopTest, RunsPostsInOrder) {
  const auto loop = MakeLoop();
  std::string order;
  loop->Post([&] {
    order += 'a';
    loop->Post([&] {
      order += 'c';
      loop->Stop();
    });
  });
  loop->Post([&] { order += 'b'; });
  loop->Run();
  EXPECT_EQ(order, "abc");
}

TEST(EventLoopTest, RunsWhatWasPostedBeforeStop) {
  const auto loop = MakeLoop();
  int ran = 0;
  loop->Post([&] { ++ran; });
  loop->Stop();
  loop->Post([&] { ran += 100; });
  loop->Run();
  EXPECT_EQ(ran, 1);
}

TEST(EventLoopTest, DropsWhatIsPostedAfterStop) {
  const auto loop = MakeLoop();
  const auto token = std::make_shared<int>(0);
  loop->Stop();
  loop->Post([token] { FAIL() << "ran after Stop"; });
  EXPECT_EQ(token.use_count(), 1) << "the task is destroyed at once";
  loop->Run();
}

TEST(EventLoopTest, ACallbackReturnsToItsLoopAndEndsThere) {
  const auto loop = MakeLoop();
  std::thread::id called, destroyed;
  struct Held {
    explicit Held(std::thread::id& at) : destroyed(at) {}
    ~Held() { destroyed = std::this_thread::get_id(); }
    std::thread::id& destroyed;
  };
  std::function<void(int)> done = [&, held = std::make_shared<Held>(destroyed)](int answer) {
    EXPECT_EQ(answer, 42);
    called = std::this_thread::get_id();
  };
  std::function<void(int)> elsewhere = ReturnTo(*loop, std::move(done));
  std::thread other([&loop, elsewhere = std::move(elsewhere)]() mutable {
    elsewhere(42);
    elsewhere = nullptr;
    loop->Post([&loop] { loop->Post([&loop] { loop->Stop(); }); });
  });
  loop->Run();
  other.join();
  EXPECT_EQ(called, std::this_thread::get_id());
  EXPECT_EQ(destroyed, std::this_thread::get_id());
}

TEST(EventLoopTest, ThreadsPostWhileAnotherStops) {
  for (int round = 0; round < 20; ++round) {
    const auto loop = MakeLoop();
    constexpr int kThreads = 4;
    constexpr int kPosts = 500;
    const auto token = std::make_shared<int>(0);
    std::vector<int> next(kThreads, 0);  // touched by the loop only
    std::atomic<bool> in_order{true};
    std::vector<std::thread> threads;
    for (int t = 0; t < kThreads; ++t) {
      threads.emplace_back([&, t] {
        for (int i = 0; i < kPosts; ++i) {
          loop->Post([&next, &in_order, token, t, i] {
            if (next[t] != i) in_order = false;
            ++next[t];
          });
        }
        if (t == 0) loop->Stop();
      });
    }
    loop->Run();
    for (std::thread& thread : threads) thread.join();
    EXPECT_TRUE(in_order);
    EXPECT_EQ(next[0], kPosts) << "its posts came before its Stop";
    EXPECT_EQ(token.use_count(), 1) << "no task is left over";
  }
}

TEST(EventLoopTest, TimeStandsStillWithinAnIteration) {
  const auto loop = MakeLoop();
  loop->Post([&] {
    const TimePoint before = loop->now();
    while (SteadyNow() - before < milliseconds(2)) {
    }
    EXPECT_EQ(loop->now(), before);
    EXPECT_GT(loop->unix_now(), 1'600'000'000'000);
    loop->Post([&, before] {
      EXPECT_GE(loop->now() - before, milliseconds(2));
      loop->Stop();
    });
  });
  loop->Run();
}

TEST(EventLoopTest, MeasuresBusyIterations) {
  const auto loop = MakeLoop();
  loop->Post([&] {
    const TimePoint begin = SteadyNow();
    while (SteadyNow() - begin < milliseconds(6)) {
    }
    loop->Stop();
  });
  loop->Run();
  const auto busy = loop->busy();
  EXPECT_GE(busy.count, 1U);
  EXPECT_GE(busy.max, milliseconds(6));
  EXPECT_GE(busy.sum, busy.max);
  EXPECT_EQ(busy.counts[0] + busy.count, busy.counts[0] + busy.count);
}

TEST(EndOfIterationTest, RunsOnceBeforeTheLoopSleeps) {
  const auto loop = MakeLoop();
  std::string order;
  {
    EndOfIteration task(*loop, [&] { order += 'e'; });
    EndOfIteration cancelled(*loop, [&] { order += 'x'; });
    loop->Post([&] {
      task.Schedule();
      task.Schedule();
      cancelled.Schedule();
      cancelled.Cancel();
      order += 'a';
    });
    loop->Post([&] {
      order += 'b';
      loop->Post([&] {
        order += 'c';
        task.Schedule();
        loop->Stop();
      });
    });
    loop->Run();
  }
  EXPECT_EQ(order, "abece") << "also after Stop, so that the last output leaves";
}

TEST(EndOfIterationTest, MayScheduleAnother) {
  const auto loop = MakeLoop();
  std::string order;
  {
    EndOfIteration second(*loop, [&] { order += '2'; });
    EndOfIteration first(*loop, [&] {
      order += '1';
      second.Schedule();
    });
    loop->Post([&] {
      first.Schedule();
      loop->Stop();
    });
    loop->Run();
  }
  EXPECT_EQ(order, "12");
}

TEST(EndOfPollTest, RunsOnceAllThatIsReadyWasCalled) {
  const auto loop = MakeLoop();
  std::string order;
  {
    Timer timer(*loop);
    std::function<void()> start_timer;
    EndOfIteration last(*loop, [&] {
      order += 'e';
      if (start_timer) std::exchange(start_timer, nullptr)();
    });
    EndOfPoll poll(*loop, [&] { order += 'p'; });
    EndOfPoll cancelled(*loop, [&] { order += 'x'; });
    loop->Post([&] {
      last.Schedule();
      poll.Schedule();
      cancelled.Schedule();
      cancelled.Cancel();
      order += 'a';
    });
    loop->Post([&] {
      poll.Schedule();
      order += 'b';
    });
    start_timer = [&] {
      timer.Start(milliseconds(1), Duration::zero(), [&] {
        order += 't';
        last.Schedule();
        poll.Schedule();
        loop->Stop();
      });
    };
    loop->Run();
  }
  EXPECT_EQ(order, "abpetpe") << "behind other callbacks it does not wait for a poll";
}

TEST(TimerTest, FiresOnceOrAgainAndAgain) {
  const auto loop = MakeLoop();
  int once = 0;
  int repeated = 0;
  {
    Timer one(*loop);
    Timer many(*loop);
    one.Start(milliseconds(1), Duration::zero(), [&] { ++once; });
    EXPECT_TRUE(one.active());
    many.Start(milliseconds(1), milliseconds(1), [&] {
      if (++repeated == 5) loop->Stop();
    });
    loop->Run();
    EXPECT_FALSE(one.active());
    EXPECT_TRUE(many.active());
  }
  EXPECT_EQ(once, 1);
  EXPECT_EQ(repeated, 5);
}

TEST(TimerTest, MayChangeItselfFromItsTask) {
  const auto loop = MakeLoop();
  std::string order;
  {
    Timer restarted(*loop);
    Timer stopped(*loop);
    auto destroyed = std::make_unique<Timer>(*loop);
    restarted.Start(Duration::zero(), milliseconds(1), [&] {
      order += 'r';
      restarted.Start(milliseconds(5), Duration::zero(), [&] {
        order += 'R';
        loop->Stop();
      });
    });
    stopped.Start(Duration::zero(), milliseconds(1), [&] {
      order += 's';
      stopped.Stop();
    });
    destroyed->Start(Duration::zero(), milliseconds(1), [&, text = std::string(100, 'd')] {
      destroyed.reset();
      order += text[99];  // what the task captured outlives the timer
    });
    loop->Run();
  }
  EXPECT_EQ(order, "rsdR");
}

}  // namespace
}  // namespace gyre
