// A client connected to a fake cluster.
#pragma once

#include <gtest/gtest.h>

#include <coroutine>
#include <exception>
#include <optional>
#include <string>
#include <utility>

#include "client/fake_cluster.h"
#include "gyre/client.h"

namespace gyre::client {

using namespace std::chrono_literals;

class ClientTest : public testing::Test {
 protected:
  // Far more than any of these tests needs, so that a slow machine fails none of them.
  static constexpr Milliseconds kPatience{20000};

  explicit ClientTest(std::size_t node_count = 3) : cluster_(node_count) {}

  Options DefaultOptions() {
    Options options;
    options.seeds = {cluster_.node(0).address()};
    options.deadline = kPatience;
    options.connect_timeout = 5s;
    options.ring_refresh_interval = 1h;
    options.retry.attempts_max = 1'000'000;
    return options;
  }
  void Connect(Options options) {
    Result<Client> connected = Client::Connect(std::move(options));
    ASSERT_TRUE(connected) << connected.error().message;
    client_.emplace(std::move(*connected));
  }
  void Connect() { Connect(DefaultOptions()); }
  Client& client() { return *client_; }

  // The value of a key as the client reads it; "(none)", or "error ..." .
  std::string Read(const std::string& key, const CallOptions& call = {}) {
    const auto record = client().Get(key, call);
    if (!record) return "error " + std::string(ErrorCodeName(record.error().code));
    return *record ? (*record)->value : "(none)";
  }
  // Once the client asks node 0 to 2 directly.
  void AwaitRing(std::uint64_t digest_change_of) {
    while (client().Ring().digest == digest_change_of) {
      ASSERT_TRUE(client().RefreshRing());
    }
  }

  FakeCluster cluster_;
  std::optional<Client> client_;
};

// A coroutine that runs by itself.
struct Detached {
  struct promise_type {
    Detached get_return_object() { return {}; }
    std::suspend_never initial_suspend() noexcept { return {}; }
    std::suspend_never final_suspend() noexcept { return {}; }
    void return_void() {}
    void unhandled_exception() { std::terminate(); }
  };
};

template <typename T>
ErrorCode CodeOf(const Result<T>& result) {
  EXPECT_FALSE(result.ok());
  return result.ok() ? ErrorCode::kInternal : result.error().code;
}

}  // namespace gyre::client
