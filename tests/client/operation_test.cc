// The handle on a call: waiting, callbacks, coroutines, and what outlives what.
#include <atomic>
#include <future>
#include <memory>
#include <thread>
#include <type_traits>

#include "client/fixture.h"
#include "client/operation_state.h"

namespace gyre::client {
namespace {

class OperationTest : public ClientTest {
 protected:
  void SetUp() override {
    Options options = DefaultOptions();
    options.retry.hedge_after = 0ms;  // a second holder would answer what a test holds up
    Connect(options);
    key_ = cluster_.KeyOwnedBy(1);
  }

  // A read that is under way, and stays so until node 1 resumes.
  Operation<Result<std::optional<Record>>> HeldGet() {
    cluster_.node(1).Pause();
    auto operation = client().GetAsync(key_);
    cluster_.node(1).AwaitCount("GET", 1);
    return operation;
  }

  std::string key_;
};

static_assert(!std::is_copy_constructible_v<Operation<Result<bool>>>);
static_assert(std::is_nothrow_move_constructible_v<Operation<Result<bool>>>);

TEST_F(OperationTest, EveryCallHasAnAsynchronousForm) {
  EXPECT_TRUE(*client().SetAsync("k", "1", {.flags = 7}).Get());
  const auto record = client().GetAsync("k").Get();
  ASSERT_TRUE(record && *record);
  EXPECT_EQ((*record)->flags, 7u);
  EXPECT_TRUE(*client().CompareAndSetAsync("k", "2", (*record)->version).Get());
  EXPECT_FALSE(*client().CompareAndSetAsync("k", "3", (*record)->version).Get());
  EXPECT_EQ(*client().IncrAsync("k").Get(), 3);
  EXPECT_EQ(*client().AppendAsync("k", "00").Get(), 3);
  EXPECT_EQ(*client().StrlenAsync("k").Get(), 3);
  EXPECT_TRUE(*client().ExistsAsync("k").Get());
  EXPECT_TRUE(*client().TouchAsync("k").Get());
  EXPECT_TRUE(*client().ExpireAsync("k", 1500ms).Get());
  EXPECT_EQ(client().TtlAsync("k").Get()->left, 1500ms);
  EXPECT_TRUE(*client().PersistAsync("k").Get());
  EXPECT_EQ(client().ExecuteAsync({"GET", "k"}).Get()->text, "300");
  EXPECT_EQ(client().ExecuteOnAsync(cluster_.node(2).address(), {"PING"}).Get()->text, "PONG");
  EXPECT_TRUE(*client().DelAsync("k").Get());
  EXPECT_EQ(client().RefreshRingAsync().Get()->nodes.size(), 3u);
}

TEST_F(OperationTest, WhatCannotBeSentIsCompleteAtOnce) {
  EXPECT_EQ(CodeOf(client().ExpireAsync("k", 0ms).Get()), ErrorCode::kInvalidArgument);
  EXPECT_EQ(CodeOf(client().SetAsync("k", "v", {.ttl = -1ms}).Get()), ErrorCode::kInvalidArgument);
  EXPECT_EQ(CodeOf(client().ExecuteOnAsync("::1", {"PING"}).Get()), ErrorCode::kInvalidArgument);
  EXPECT_EQ(CodeOf(client().ExecuteAsync({}).Get()), ErrorCode::kInvalidArgument);
  bool told = false;
  client().ExecuteAsync({}).Then([&](const auto& result) { told = !result.ok(); });
  EXPECT_TRUE(told) << "on this thread, before Then returned";
}

// ---- Waiting -----------------------------------------------------------------------------------

TEST_F(OperationTest, WaitForTellsWhetherItIsComplete) {
  auto read = HeldGet();
  EXPECT_FALSE(read.WaitFor(0ms));
  EXPECT_FALSE(read.WaitFor(5ms));
  cluster_.node(1).Resume();
  EXPECT_TRUE(read.WaitFor(Milliseconds::max()));
  EXPECT_TRUE(read.WaitFor(0ms));
  EXPECT_TRUE(read.Get().ok());
}

// ---- Callbacks ---------------------------------------------------------------------------------

TEST_F(OperationTest, ACallbackRunsOnTheThreadOfTheClient) {
  std::promise<std::thread::id> ran;
  auto read = HeldGet();
  read.Then([&](const auto& record) {
    EXPECT_TRUE(record.ok());
    ran.set_value(std::this_thread::get_id());
  });
  cluster_.node(1).Resume();
  EXPECT_NE(ran.get_future().get(), std::this_thread::get_id());
}

TEST_F(OperationTest, ACallbackOfACompleteOperationRunsAtOnce) {
  auto read = client().GetAsync(key_);
  ASSERT_TRUE(read.WaitFor(kPatience));
  std::thread::id ran;
  read.Then([&](const auto&) { ran = std::this_thread::get_id(); });
  EXPECT_EQ(ran, std::this_thread::get_id());
}

TEST_F(OperationTest, ACallbackMayOwnWhatNobodyCanCopyAndIsDestroyedAfterIt) {
  std::promise<int> seen;
  auto owned = std::make_shared<int>(42);
  const std::weak_ptr<int> watched = owned;
  auto holder = std::make_unique<std::shared_ptr<int>>(std::move(owned));
  client().SetAsync(key_, "v").Then([&seen, holder = std::move(holder)](Result<bool> stored) {
    EXPECT_TRUE(stored && *stored);
    seen.set_value(**holder);
  });
  EXPECT_EQ(seen.get_future().get(), 42);
  client_.reset();
  EXPECT_TRUE(watched.expired());
}

TEST_F(OperationTest, WaitingInACallbackForWhatIsUnderWayIsRefused) {
  std::promise<ErrorCode> refused;
  std::promise<bool> complete;
  auto set = std::make_unique<Operation<Result<bool>>>(client().SetAsync(key_, "v"));
  ASSERT_TRUE(set->WaitFor(kPatience));
  client().GetAsync(key_).Then([&, set = std::move(set)](const auto&) {
    auto another = client().GetAsync(key_);
    EXPECT_FALSE(another.WaitFor(kPatience)) << "does not wait";
    refused.set_value(CodeOf(another.Get()));
    complete.set_value(set->WaitFor(0ms) && set->Get().ok());
  });
  EXPECT_EQ(refused.get_future().get(), ErrorCode::kNotAllowed);
  EXPECT_TRUE(complete.get_future().get()) << "what is complete may be read there";
}

TEST_F(OperationTest, WaitingForRoomInACallbackIsRefused) {
  std::promise<ErrorCode> code;
  client().GetAsync(key_).Then([&](const auto&) {
    code.set_value(CodeOf(client().GetAsync(key_, {.wait_for_room = true}).Get()));
  });
  EXPECT_EQ(code.get_future().get(), ErrorCode::kNotAllowed);
}

// ---- Dropped, and outliving --------------------------------------------------------------------

TEST_F(OperationTest, ADroppedOperationGoesOn) {
  cluster_.node(1).Pause();
  { const auto dropped = client().SetAsync(key_, "v"); }
  auto batch = client().MSetAsync({{key_ + "{x}", "1"}, {cluster_.KeyOwnedBy(2), "2"}});
  batch = client().MSetAsync({});
  cluster_.node(1).Resume();
  while (cluster_.store().size() < 3) std::this_thread::yield();
  EXPECT_EQ(Read(key_), "v");
}

TEST_F(OperationTest, AnOperationMayOutliveItsClient) {
  cluster_.node(1).Pause();
  auto write = client().IncrAsync(key_);
  cluster_.node(1).AwaitCount("INCRBY", 1);
  auto batch = client().MGetAsync({key_, key_});
  auto dropped = std::make_unique<Operation<Result<bool>>>(client().DelAsync(key_));
  client_.reset();
  EXPECT_EQ(CodeOf(write.Get()), ErrorCode::kUnknownOutcome);
  for (const auto& record : batch.Get()) EXPECT_EQ(CodeOf(record), ErrorCode::kClosed);
  dropped.reset();
}

TEST_F(OperationTest, ACallbackIsToldThatItsClientIsDestroyed) {
  auto read = HeldGet();
  std::promise<ErrorCode> code;
  read.Then([&](const auto& record) { code.set_value(CodeOf(record)); });
  client_.reset();
  EXPECT_EQ(code.get_future().get(), ErrorCode::kClosed);
}

// ---- Coroutines --------------------------------------------------------------------------------

Detached CountTwice(Client& client, std::string key, std::promise<std::int64_t>& sum) {
  const auto one = co_await client.IncrAsync(key);
  if (!one) co_return sum.set_value(-1);
  auto under_way = client.IncrAsync(key);
  const auto two = co_await under_way;
  sum.set_value(two ? *two : -2);
}

TEST_F(OperationTest, ACoroutineIsResumedWithTheOutcome) {
  std::promise<std::int64_t> sum;
  CountTwice(client(), key_, sum);
  EXPECT_EQ(sum.get_future().get(), 2);
}

Detached NoteThread(Operation<Result<bool>> operation, std::promise<std::thread::id>& resumed) {
  EXPECT_TRUE(co_await operation);
  resumed.set_value(std::this_thread::get_id());
}

TEST_F(OperationTest, ACoroutineGoesOnWhereTheOutcomeIs) {
  std::promise<std::thread::id> at_once;
  auto complete = client().SetAsync(key_, "v");
  ASSERT_TRUE(complete.WaitFor(kPatience));
  NoteThread(std::move(complete), at_once);
  EXPECT_EQ(at_once.get_future().get(), std::this_thread::get_id());

  std::promise<std::thread::id> later;
  cluster_.node(1).Pause();
  NoteThread(client().SetAsync(key_, "w"), later);
  cluster_.node(1).Resume();
  EXPECT_NE(later.get_future().get(), std::this_thread::get_id());
}

Detached ReadToTheEnd(Client& client, std::string key, std::promise<ErrorCode>& code) {
  const auto record = co_await client.GetAsync(key);
  code.set_value(record ? ErrorCode::kInternal : record.error().code);
}

TEST_F(OperationTest, ACoroutineIsResumedWhenItsClientIsDestroyed) {
  cluster_.node(1).Pause();
  std::promise<ErrorCode> code;
  ReadToTheEnd(client(), key_, code);
  client_.reset();
  EXPECT_EQ(code.get_future().get(), ErrorCode::kClosed);
}

Detached DestroyWhenResumed(std::optional<Client>& client, std::string key,
                            std::promise<void>& destroyed) {
  EXPECT_TRUE(co_await client->GetAsync(key));
  client.reset();
  destroyed.set_value();
}

TEST_F(OperationTest, ACoroutineMayDestroyTheClient) {
  std::promise<void> destroyed;
  DestroyWhenResumed(client_, key_, destroyed);
  destroyed.get_future().wait();
}

// ---- The state by itself -----------------------------------------------------------------------

using ManyNumbers = std::vector<Result<int>>;

TEST(OperationStateTest, ManyThreadsSetAndOneIsTold) {
  constexpr std::size_t kThreads = 4;
  constexpr std::size_t kEach = 500;
  for (int round = 0; round < 20; ++round) {
    const auto state =
        std::make_shared<OperationState<ManyNumbers>>(kThreads * kEach, std::thread::id());
    std::vector<std::thread> threads;
    for (std::size_t thread = 0; thread < kThreads; ++thread) {
      threads.emplace_back([state, thread] {
        for (std::size_t i = 0; i < kEach; ++i) {
          const std::size_t index = thread * kEach + i;
          state->Set(index, static_cast<int>(index));
        }
      });
    }
    const ManyNumbers numbers = state->Get();
    ASSERT_EQ(numbers.size(), kThreads * kEach);
    for (std::size_t i = 0; i < numbers.size(); ++i) ASSERT_EQ(*numbers[i], static_cast<int>(i));
    for (std::thread& thread : threads) thread.join();
  }
}

TEST(OperationStateTest, ACallbackIsToldOnceHoweverLateItComes) {
  struct Note final : Operation<ManyNumbers>::Waiter {
    explicit Note(std::atomic<int>& count) : count(count) {}
    void Run(ManyNumbers numbers) override { count += static_cast<int>(numbers.size()); }
    std::atomic<int>& count;
  };
  for (int round = 0; round < 500; ++round) {
    std::atomic<int> count = 0;
    const auto state = std::make_shared<OperationState<ManyNumbers>>(1, std::thread::id());
    std::thread completes([state] { state->Set(0, 1); });
    state->RunWhenComplete(std::make_unique<Note>(count));
    completes.join();
    ASSERT_EQ(count, 1);
  }
}

}  // namespace
}  // namespace gyre::client
