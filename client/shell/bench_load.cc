#include "client/shell/bench_load.h"

#include <netdb.h>
#include <poll.h>
#include <unistd.h>
#include <uv.h>

#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstring>
#include <limits>
#include <random>
#include <thread>

#include "client/node_address.h"
#include "client/shell/interrupt.h"
#include "client/shell/zipf.h"
#include "client/signals_blocked.h"
#include "common/byte_queue.h"
#include "common/tcp_stream.h"

namespace gyre::client {
namespace {

// What is measured may end so much later where somebody is told how far it is.
constexpr std::chrono::milliseconds kProgressPause{20};
constexpr std::uint64_t kReconnectMs = 100;
constexpr std::size_t kReadBytes = 64 * 1024;
// Memory that an empty output keeps.
constexpr std::size_t kKeptBytesMax = std::size_t{1} << 20;
// A node that owns hardly any key of the pattern: take what was drawn, it forwards.
constexpr int kDrawsMax = 10000;

// What all threads share.
struct Run {
  const BenchOptions& options;
  const std::vector<BenchTarget>& targets;
  const std::string value;
  bool load;  // every key once, then stop
  std::atomic<std::int64_t> requests_left;
  std::vector<std::atomic<std::uint64_t>> next_key;  // [target], sequential
  std::atomic<bool> stop{false};

  Run(const BenchOptions& bench_options, const std::vector<BenchTarget>& bench_targets,
      bool is_load)
      : options(bench_options),
        targets(bench_targets),
        value(bench_options.value_bytes, 'x'),
        load(is_load),
        requests_left(bench_options.requests == 0 || is_load
                          ? std::numeric_limits<std::int64_t>::max()
                          : static_cast<std::int64_t>(bench_options.requests)),
        next_key(bench_targets.size()) {}

  // How many of `wanted` requests may still be sent.
  std::int64_t Claim(std::int64_t wanted) {
    const std::int64_t before = requests_left.fetch_sub(wanted, std::memory_order_relaxed);
    return std::clamp<std::int64_t>(before, 0, wanted);
  }
  std::uint64_t Begun() const {
    if (load) return std::min(next_key.front().load(std::memory_order_relaxed), options.keys);
    const std::int64_t all = options.requests == 0 ? std::numeric_limits<std::int64_t>::max()
                                                   : static_cast<std::int64_t>(options.requests);
    const std::int64_t left = requests_left.load(std::memory_order_relaxed);
    return static_cast<std::uint64_t>(all - std::max<std::int64_t>(left, 0));
  }
};

// Draws keys for one connection.
class KeySource {
 public:
  KeySource(Run& run, std::size_t target, std::uint64_t seed)
      : run_(run),
        target_(target),
        random_(seed),
        zipf_(run.options.keys, run.options.zipf_alpha) {}

  // False: there are no more (load only).
  bool Next(std::uint64_t& key) {
    const auto& owns = run_.targets[target_].owns;
    for (int draws = 0;; ++draws) {
      if (run_.load || run_.options.pattern == KeyPattern::kSequential) {
        key = run_.next_key[target_].fetch_add(1, std::memory_order_relaxed);
        if (run_.load && key >= run_.options.keys) return false;
        key %= run_.options.keys;
      } else if (run_.options.pattern == KeyPattern::kZipf) {
        key = zipf_.Rank([this] { return Unit(); }) - 1;
      } else {
        key = Below(run_.options.keys);
      }
      if (!owns || owns(key) || (!run_.load && draws == kDrawsMax)) return true;
    }
  }
  bool DrawSet() {
    const std::uint32_t all = run_.options.sets + run_.options.gets;
    return run_.load || Below(all) < run_.options.sets;
  }

 private:
  double Unit() { return static_cast<double>(random_() >> 11) * 0x1.0p-53; }
  // Multiply and shift: uniform enough below 2^32, and much cheaper than a division.
  std::uint64_t Below(std::uint64_t bound) { return ((random_() >> 32) * bound) >> 32; }

  Run& run_;
  const std::size_t target_;
  std::mt19937_64 random_;
  const Zipf zipf_;
};

// One connection of a thread's loop, made again when it is lost. Lives until the loop is over.
class BenchConnection final : private TcpStreamOwner {
 public:
  BenchConnection(Run& run, std::size_t target, std::uint64_t seed, uv_loop_t* loop,
                  BenchReport& report)
      : run_(run),
        target_(target),
        loop_(loop),
        report_(report),
        keys_(run, target, seed),
        wire_(BenchWire::Make(run.options.protocol, run.value)) {
    uv_timer_init(loop, &reconnect_);
    reconnect_.data = this;
    Connect();
  }

  void Stop() {
    if (stopping_) return;
    stopping_ = true;
    uv_close(reinterpret_cast<uv_handle_t*>(&reconnect_), nullptr);
    if (stream_ != nullptr) stream_.release()->Close();
  }

 private:
  void Connect() {
    stream_ = TcpStream<ByteQueue<>>::Create(loop_, *this, kKeptBytesMax);
    const auto* address = reinterpret_cast<const sockaddr*>(&run_.targets[target_].address);
    if (stream_->Connect(address) != 0) OnLost();
  }

  void OnConnected(int status) override { status == 0 ? SendBatch() : OnLost(); }

  uv_buf_t OnAllocate() override {
    char* const room = in_.Prepare(kReadBytes);
    return UvBuffer(room, in_.writable());
  }

  void SendBatch() {
    if (run_.stop.load(std::memory_order_relaxed)) return Stop();
    const std::int64_t claimed = run_.Claim(run_.options.pipeline);
    std::uint64_t key = 0;
    for (std::int64_t i = 0; i < claimed && keys_.Next(key); ++i) {
      keys_.DrawSet() ? wire_->AppendSet(key, out_) : wire_->AppendGet(key, out_);
      ++waiting_;
    }
    if (waiting_ == 0) return Stop();
    sent_at_ns_ = uv_hrtime();
    if (stream_->Write(out_) != 0) OnLost();
  }

  void OnWritten(int status) override {
    if (status != 0) return OnLost();
    if (waiting_ == 0) SendBatch();
  }

  void OnRead(ssize_t count) override {
    if (count < 0) return OnLost();
    in_.Commit(static_cast<std::size_t>(count));
    const std::uint64_t before = report_.counts.replies;
    const std::ptrdiff_t bytes = wire_->Count(in_.view(), report_.counts);
    const std::uint64_t replies = report_.counts.replies - before;
    if (bytes < 0 || replies > waiting_) {
      if (report_.counts.first_error.empty()) {
        report_.counts.first_error = "the answers are not of this protocol: see --protocol";
      }
      run_.stop = true;  // nothing that follows would mean anything
      return OnLost();
    }
    in_.Consume(static_cast<std::size_t>(bytes));
    waiting_ -= replies;
    if (replies > 0) report_.latency_ns.Record(uv_hrtime() - sent_at_ns_, replies);
    if (waiting_ == 0 && !stream_->writing()) SendBatch();
  }

  // What was in flight counts as errors; then it tries again, unless the run is over.
  void OnLost() {
    ++report_.connections_lost;
    report_.counts.errors += waiting_;
    waiting_ = 0;
    stream_.release()->Close();
    in_.Clear();
    out_.Clear();
    if (run_.stop.load(std::memory_order_relaxed) || run_.load) return Stop();
    uv_timer_start(
        &reconnect_,
        [](uv_timer_t* timer) { static_cast<BenchConnection*>(timer->data)->Connect(); },
        kReconnectMs, 0);
  }

  Run& run_;
  const std::size_t target_;
  uv_loop_t* const loop_;
  BenchReport& report_;
  KeySource keys_;
  const std::unique_ptr<BenchWire> wire_;
  TcpStream<ByteQueue<>>::Ptr stream_;  // null between two connections
  uv_timer_t reconnect_{};
  ByteQueue<> in_;
  ByteQueue<> out_;
  std::uint64_t waiting_ = 0;
  std::uint64_t sent_at_ns_ = 0;
  bool stopping_ = false;
};

// One thread: its connections are those whose number modulo the threads is `thread`.
struct Worker {
  Run& run;
  BenchReport report;
  std::vector<std::unique_ptr<BenchConnection>> connections;

  void Work(std::uint32_t thread) {
    uv_loop_t loop;
    if (uv_loop_init(&loop) != 0) return;
    std::uint32_t number = 0;
    for (std::uint32_t i = 0; i < run.options.connections; ++i) {
      for (std::size_t target = 0; target < run.targets.size(); ++target, ++number) {
        if (number % run.options.threads != thread) continue;
        connections.push_back(std::make_unique<BenchConnection>(
            run, target, run.options.seed * 1000003 + number, &loop, report));
      }
    }
    uv_timer_t deadline;
    uv_timer_init(&loop, &deadline);
    deadline.data = this;
    // The grace is for what is in flight; a node that does not answer any more must not hold up the
    // end.
    constexpr std::uint64_t kGraceMs = 2000;
    constexpr std::uint64_t kPollMs = 100;
    const bool by_time = run.options.requests == 0 && !run.load;
    struct Stopper {
      Worker* worker;
      std::uint64_t stop_at_ms;
      std::uint64_t stopped_at_ms = 0;
    } stopper{this, by_time
                        ? uv_now(&loop) + static_cast<std::uint64_t>(run.options.duration.count())
                        : std::numeric_limits<std::uint64_t>::max()};
    deadline.data = &stopper;
    uv_timer_start(
        &deadline,
        [](uv_timer_t* timer) {
          auto& state = *static_cast<Stopper*>(timer->data);
          const std::uint64_t now = uv_now(timer->loop);
          Run& shared = state.worker->run;
          if (now >= state.stop_at_ms || Interrupted()) shared.stop = true;
          if (!shared.stop) return;
          if (state.stopped_at_ms == 0) state.stopped_at_ms = now;
          if (now - state.stopped_at_ms < kGraceMs) return;
          for (const auto& connection : state.worker->connections) connection->Stop();
        },
        kPollMs, kPollMs);
    uv_unref(reinterpret_cast<uv_handle_t*>(&deadline));
    uv_run(&loop, UV_RUN_DEFAULT);
    uv_close(reinterpret_cast<uv_handle_t*>(&deadline), nullptr);
    uv_run(&loop, UV_RUN_DEFAULT);
    uv_loop_close(&loop);
  }
};

// Blocks. False: errno says why; EINTR after Ctrl-C.
bool ConnectTo(int socket_fd, const addrinfo& to) {
  if (connect(socket_fd, to.ai_addr, to.ai_addrlen) == 0) return true;
  if (errno != EINTR) return false;
  // It goes on by itself.
  pollfd connected{.fd = socket_fd, .events = POLLOUT, .revents = 0};
  while (!Interrupted() && poll(&connected, 1, -1) < 0) {
    if (errno != EINTR) return false;
  }
  if (Interrupted()) {
    errno = EINTR;
    return false;
  }
  int error = 0;
  socklen_t bytes = sizeof error;
  if (getsockopt(socket_fd, SOL_SOCKET, SO_ERROR, &error, &bytes) != 0) return false;
  errno = error;
  return error == 0;
}

BenchReport Measure(Run& run) {
  std::vector<std::unique_ptr<Worker>> workers;
  std::vector<std::thread> threads;
  std::atomic<std::uint32_t> running{run.options.threads};
  const auto begin = std::chrono::steady_clock::now();
  const auto elapsed = [begin] {
    return std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
  };
  {
    const SignalsBlocked blocked;  // SIGPIPE, too: a connection that ends is counted
    for (std::uint32_t i = 0; i < run.options.threads; ++i) {
      workers.push_back(std::make_unique<Worker>(Worker{run, {}, {}}));
      threads.emplace_back([worker = workers.back().get(), i, &running] {
        worker->Work(i);
        --running;
      });
    }
  }
  while (run.options.progress && running > 0) {
    run.options.progress(run.Begun(), elapsed());
    std::this_thread::sleep_for(kProgressPause);
  }
  for (std::thread& thread : threads) thread.join();
  BenchReport total;
  total.seconds = elapsed();
  for (const auto& worker : workers) {
    const ReplyCounts& counts = worker->report.counts;
    total.counts.replies += counts.replies;
    total.counts.hits += counts.hits;
    total.counts.misses += counts.misses;
    total.counts.stored += counts.stored;
    total.counts.errors += counts.errors;
    if (total.counts.first_error.empty()) total.counts.first_error = counts.first_error;
    total.latency_ns.Add(worker->report.latency_ns);
    total.connections_lost += worker->report.connections_lost;
  }
  return total;
}

}  // namespace

BenchReport RunBench(const BenchOptions& options, const std::vector<BenchTarget>& targets) {
  Run run(options, targets, /*is_load=*/false);
  return Measure(run);
}

BenchReport LoadKeys(BenchOptions options, const std::vector<BenchTarget>& targets) {
  constexpr std::uint32_t kLoadPipeline = 64;
  options.pipeline = kLoadPipeline;
  Run run(options, targets, /*is_load=*/true);
  return Measure(run);
}

Result<BenchTarget> MakeTarget(const std::string& text) {
  const Result<NodeAddress> address = NodeAddress::Parse(text);
  if (!address) return address.error();
  addrinfo hints{};
  hints.ai_socktype = SOCK_STREAM;
  addrinfo* found = nullptr;
  const int failed =
      getaddrinfo(address->host.c_str(), std::to_string(address->port).c_str(), &hints, &found);
  std::string why = failed != 0 ? gai_strerror(failed) : "no address";
  for (const addrinfo* entry = failed != 0 ? nullptr : found; entry != nullptr;
       entry = entry->ai_next) {
    const int socket_fd = socket(entry->ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    const bool connected = socket_fd >= 0 && ConnectTo(socket_fd, *entry);
    if (!connected) why = std::strerror(errno);
    if (socket_fd >= 0) close(socket_fd);
    if (!connected && Interrupted()) break;
    if (!connected) continue;
    BenchTarget target;
    target.name = address->ToString();
    std::memcpy(&target.address, entry->ai_addr, entry->ai_addrlen);
    freeaddrinfo(found);
    return target;
  }
  if (failed == 0) freeaddrinfo(found);
  if (Interrupted()) return Error{ErrorCode::kCancelled, "the caller gave it up"};
  return Error{ErrorCode::kCannotConnect, address->ToString() + ": " + why + "; is it running?"};
}

}  // namespace gyre::client
