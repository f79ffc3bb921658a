// A server on a loop with a thread of its own, and a blocking client: what tests of connections are
// written in.
#pragma once

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include <csignal>
#include <deque>
#include <functional>
#include <future>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "net/event_loop.h"
#include "net/line_protocol.h"
#include "net/server.h"

namespace gyre::test {

// Far longer than anything takes: hitting it is a failure, never a matter of speed.
inline constexpr std::chrono::seconds kPatience(20);

// A blocking socket. Reads fail the test instead of hanging.
class Client {
 public:
  explicit Client(std::uint16_t port, int receive_buffer_bytes = 0) {
    file_ = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (receive_buffer_bytes > 0) {
      setsockopt(file_, SOL_SOCKET, SO_RCVBUF, &receive_buffer_bytes, sizeof receive_buffer_bytes);
    }
    const timeval patience = {kPatience.count(), 0};
    setsockopt(file_, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    const int on = 1;
    setsockopt(file_, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(port);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    connected_ = connect(file_, reinterpret_cast<sockaddr*>(&address), sizeof address) == 0;
  }
  ~Client() { Close(); }
  Client(Client&& other) noexcept
      : file_(std::exchange(other.file_, -1)), connected_(other.connected_) {}
  Client& operator=(Client&&) = delete;

  bool connected() const { return connected_; }

  void Send(std::string_view bytes) {
    while (!bytes.empty()) {
      const ssize_t sent = send(file_, bytes.data(), bytes.size(), MSG_NOSIGNAL);
      if (sent <= 0) return;  // the server closed: what the test then reads shows it
      bytes.remove_prefix(static_cast<std::size_t>(sent));
    }
  }
  // As much as the kernel takes without waiting.
  std::size_t SendWithoutWaiting(std::string_view bytes) {
    const ssize_t sent = send(file_, bytes.data(), bytes.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
    return sent < 0 ? 0 : static_cast<std::size_t>(sent);
  }
  void FinishSending() { shutdown(file_, SHUT_WR); }

  // Without the newline; "<closed>" or "<reset>" at the end of the stream.
  std::string ReadLine() {
    std::string line;
    char c = 0;
    for (;;) {
      const ssize_t count = recv(file_, &c, 1, 0);
      if (count == 0) return line + "<closed>";
      if (count < 0) return line + (errno == ECONNRESET ? "<reset>" : "<nothing came>");
      if (c == '\n') return line;
      line += c;
    }
  }
  std::string Read(std::size_t size) {
    std::string bytes(size, '\0');
    const ssize_t count = recv(file_, bytes.data(), size, MSG_WAITALL);
    bytes.resize(count < 0 ? 0 : static_cast<std::size_t>(count));
    return bytes;
  }
  // Fills `bytes`, without allocating.
  void ReadInto(std::string& bytes) {
    const ssize_t count = recv(file_, bytes.data(), bytes.size(), MSG_WAITALL);
    EXPECT_EQ(count, static_cast<ssize_t>(bytes.size()));
  }
  // Everything until the server closes.
  std::string ReadAll() {
    std::string all;
    char block[65536];
    for (;;) {
      const ssize_t count = recv(file_, block, sizeof block, 0);
      if (count == 0) return all;
      if (count < 0) return all + (errno == ECONNRESET ? "<reset>" : "<nothing came>");
      all.append(block, static_cast<std::size_t>(count));
    }
  }

  // Ends with a reset instead of a FIN.
  void Reset() {
    const linger now = {1, 0};
    setsockopt(file_, SOL_SOCKET, SO_LINGER, &now, sizeof now);
    Close();
  }
  void Close() {
    if (file_ >= 0) close(file_);
    file_ = -1;
  }

 private:
  int file_ = -1;
  bool connected_ = false;
};

// What subscribers are pushed: any thread adds, and wakes.
struct Messages {
  void Add(std::string message) {
    MutexLock lock(mutex);
    waiting.push_back(std::move(message));
  }
  std::optional<std::string> Next() {
    MutexLock lock(mutex);
    return waiting.empty() ? std::nullopt : std::optional(waiting.front());
  }
  void Pop() {
    MutexLock lock(mutex);
    waiting.pop_front();
  }
  Mutex mutex;
  std::deque<std::string> waiting GYRE_GUARDED_BY(mutex);
  std::atomic<std::uint64_t> endless_bytes{0};  // of each message, without end; 0: the waiting ones
  std::atomic<std::uint64_t> written{0};
  std::atomic<int> sources{0};
};

class MessageSource final : public PushSource {
 public:
  explicit MessageSource(std::shared_ptr<Messages> messages) : messages_(std::move(messages)) {
    ++messages_->sources;
  }
  ~MessageSource() override { --messages_->sources; }
  bool Write(PushSink& sink) override {
    while (!sink.full()) {
      const std::size_t endless = messages_->endless_bytes;
      const std::optional<std::string> message =
          endless > 0 ? std::optional(std::string(endless, 'm')) : messages_->Next();
      if (!message) return false;
      sink.Say([&](ReplyWriter& writer) { writer.Bulk(*message); });
      if (endless == 0) messages_->Pop();
      ++messages_->written;
    }
    return true;
  }

 private:
  std::shared_ptr<Messages> messages_;
};

// Knows a few commands. Loop thread, but for what is atomic.
//   echo TEXT      answers TEXT at once
//   later NAME     answers when the test says Finish(NAME), or another request says so:
//   finish NAME    has it answered with NAME
//   hold NAME      likewise, and no later request is executed before
//   written NAME   writes "written", but holds it back until then
//   blob N         N times 'x'
//   put N          the size of the payload
//   forget         defers and drops the reply
//   silent         neither answers nor defers
//   quit           answers "bye" and closes
//   work MS        keeps the loop busy for so many milliseconds
//   subscribe      answers "subscribed"; from then on `messages` are pushed, once `waker` is woken
//   waited         whether it waited while the process paused, as far as `pause_detector` knows
class TestHandler final : public Handler {
 public:
  void Handle(const Request& request, Session& session, Responder& responder) override {
    ++handled;
    CountInIteration();
    CheckOrder(request);
    const std::string command(request.args[0]);
    const std::string argument(request.args.size() > 1 ? request.args[1] : "");
    if (command == "echo") {
      responder.writer().Bulk(argument);
    } else if (command == "later") {
      pending.emplace(argument, responder.Defer());
    } else if (command == "finish") {
      const auto found = pending.find(argument);
      found->second.writer().Bulk(argument);
      found->second.Finish();
      pending.erase(found);
      responder.writer().Text("finished");
    } else if (command == "hold") {
      pending.emplace(argument, responder.Defer());
      responder.HoldLaterRequests();
    } else if (command == "written") {
      responder.writer().Bulk("written");
      pending.emplace(argument, responder.Defer());
    } else if (command == "blob") {
      responder.writer().Bulk(std::string(std::stoul(argument), 'x'));
    } else if (command == "put") {
      responder.writer().Integer(static_cast<std::int64_t>(request.payload.size()));
    } else if (command == "forget") {
      responder.Defer();
    } else if (command == "quit") {
      responder.writer().Text("bye");
      session.close_after_reply = true;
    } else if (command == "work") {
      const TimePoint end = SteadyNow() + std::chrono::milliseconds(std::stol(argument));
      while (SteadyNow() < end) continue;
      responder.writer().Integer(handled);
    } else if (command == "waited") {
      responder.writer().Boolean(request.waited);
    } else if (command == "subscribe") {
      responder.writer().Bulk("subscribed");
      waker = responder.Subscribe(std::make_unique<MessageSource>(messages));
    } else if (command != "silent") {
      responder.writer().Fail({ErrorCode::kUnknownCommand, "unknown"});
    }
  }
  void LookAhead(std::span<const Request> requests) override {
    lookahead.push_back(requests.size());
    ahead = requests;
  }
  void EndOfBatch() override {
    ++batches;
    ahead = {};
  }

  EventLoop* loop = nullptr;  // of ServerThread; else iterations are not counted
  std::atomic<int> handled{0};
  std::atomic<int> handled_in_iteration_max{0};
  std::atomic<int> batches{0};
  std::vector<std::size_t> lookahead;  // how many requests at a time
  std::map<std::string, PendingReply> pending;
  std::shared_ptr<Messages> messages = std::make_shared<Messages>();
  std::shared_ptr<PushWaker> waker;

 private:
  void CountInIteration() {
    if (loop == nullptr) return;
    if (std::exchange(iteration_, loop->now()) != loop->now()) handled_in_iteration_ = 0;
    handled_in_iteration_max = std::max<int>(handled_in_iteration_max, ++handled_in_iteration_);
  }
  // What was looked at ahead comes in that order, or not at all.
  void CheckOrder(const Request& request) {
    if (ahead.empty()) return;
    while (!ahead.empty() && &ahead.front() != &request) ahead = ahead.subspan(1);
    EXPECT_FALSE(ahead.empty()) << "not among what was looked at ahead";
    if (!ahead.empty()) ahead = ahead.subspan(1);
  }
  std::span<const Request> ahead;
  TimePoint iteration_{};
  int handled_in_iteration_ = 0;
};

class ServerThread {
 public:
  explicit ServerThread(const ConnectionLimits& limits = {}, CodecFactory codec = Lines()) {
    std::signal(SIGPIPE, SIG_IGN);
    loop = std::move(EventLoop::Create().value());
    handler.loop = loop.get();
    server = std::make_unique<Server>(*loop, sessions, limits);
    const Status listening = server->Listen(
        {.codec = std::move(codec), .handler = &handler, .pause_detector = &pause_detector});
    EXPECT_TRUE(listening) << listening.error().message;
    port = server->bound_port();
    thread_ = std::thread([this] { loop->Run(); });
  }
  ~ServerThread() {
    OnLoop([this] {
      server.reset();
      handler.pending.clear();
    });
    loop->Stop();
    thread_.join();
    EXPECT_EQ(writers_alive, 0U) << "a codec's writer was not recycled";
  }

  Client Connect() { return Client(port); }

  // Runs `task` on the loop and waits for it.
  void OnLoop(const std::function<void()>& task) {
    std::promise<void> done;
    loop->Post([&] {
      task();
      done.set_value();
    });
    done.get_future().wait();
  }

  // Has the loop read what `send` sends in one turn.
  void InOneTurn(const std::function<void()>& send) {
    std::promise<void> stopped;
    std::promise<void> go_on;
    loop->Post([&stopped, gone_on = go_on.get_future().share()] {
      stopped.set_value();
      gone_on.wait();
    });
    stopped.get_future().wait();
    send();
    go_on.set_value();
  }

  // Waits until `name` was deferred, then answers it.
  void Finish(const std::string& name, const std::string& text) {
    WithPending(name, [&](PendingReply& reply) {
      if (!text.empty()) reply.writer().Bulk(text);
      reply.Finish();
    });
  }
  void WithPending(const std::string& name, const std::function<void(PendingReply&)>& act) {
    bool done = false;
    Eventually([&] {
      OnLoop([&] {
        const auto found = handler.pending.find(name);
        if (found == handler.pending.end()) return;
        act(found->second);
        handler.pending.erase(found);
        done = true;
      });
      return done;
    });
  }
  void Eventually(const std::function<bool()>& condition) {
    const auto give_up = std::chrono::steady_clock::now() + kPatience;
    while (!condition()) {
      ASSERT_LT(std::chrono::steady_clock::now(), give_up) << "what was expected did not happen";
      std::this_thread::yield();
    }
  }

  SessionRegistry sessions;
  TestHandler handler;
  PauseDetector pause_detector;
  std::unique_ptr<EventLoop> loop;
  std::unique_ptr<Server> server;
  std::uint16_t port = 0;

 private:
  std::thread thread_;
};

}  // namespace gyre::test
