#include "common/tcp_stream.h"

#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <functional>
#include <string>

#include "common/byte_queue.h"

namespace gyre {
namespace {

// A port of this machine; the test is its server, which takes what the kernel has for it.
class Port {
 public:
  Port() : listener_(::socket(AF_INET, SOCK_STREAM, 0)) {
    address_.sin_family = AF_INET;
    address_.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t bytes = sizeof address_;
    EXPECT_EQ(::bind(listener_, raw(), bytes), 0);
    EXPECT_EQ(::getsockname(listener_, reinterpret_cast<sockaddr*>(&address_), &bytes), 0);
  }
  ~Port() {
    if (peer_ >= 0) ::close(peer_);
    ::close(listener_);
  }
  Port(const Port&) = delete;
  Port& operator=(const Port&) = delete;

  const sockaddr* raw() const { return reinterpret_cast<const sockaddr*>(&address_); }
  void Listen() { EXPECT_EQ(::listen(listener_, 1), 0); }
  void Accept() {
    peer_ = ::accept(listener_, nullptr, nullptr);
    ASSERT_GE(peer_, 0);
  }
  void Send(const std::string& bytes) {
    ASSERT_EQ(::write(peer_, bytes.data(), bytes.size()), static_cast<ssize_t>(bytes.size()));
  }
  // Waits for some bytes; 0: the end of the stream; below it: minus errno.
  ssize_t Receive(std::string& received) {
    std::array<char, 65536> bytes{};
    const ssize_t count = ::read(peer_, bytes.data(), bytes.size());
    if (count < 0) return -errno;
    received.append(bytes.data(), static_cast<std::size_t>(count));
    return count;
  }

 private:
  const int listener_;
  int peer_ = -1;
  sockaddr_in address_{};
};

class TcpStreamTest : public ::testing::Test, protected TcpStreamOwner {
 protected:
  using Stream = TcpStream<ByteQueue<>>;
  static constexpr std::size_t kKeptBytesMax = 4096;

  void SetUp() override {
    ASSERT_EQ(uv_loop_init(&loop_), 0);
    stream_ = Stream::Create(&loop_, *this, kKeptBytesMax);
  }
  // What was closed is gone: nothing of it is left in the loop.
  void TearDown() override {
    stream_.reset();
    uv_run(&loop_, UV_RUN_DEFAULT);
    EXPECT_EQ(uv_loop_close(&loop_), 0);
  }

  void Connect() {
    port_.Listen();
    ASSERT_EQ(stream_->Connect(port_.raw()), 0);
    RunUntil([this] { return connects_ > 0; });
    ASSERT_EQ(connected_, 0);
    port_.Accept();
  }
  void RunUntil(const std::function<bool()>& done) {
    while (!done()) uv_run(&loop_, UV_RUN_ONCE);
  }
  // More than a socket without a reader takes.
  static std::string Much() {
    std::string bytes;
    for (char piece = 0; bytes.size() < std::size_t{16} << 20; ++piece) bytes.append(4093, piece);
    return bytes;
  }

  void OnConnected(int status) override {
    ++connects_;
    connected_ = status;
  }
  uv_buf_t OnAllocate() override {
    char* const room = in_.Prepare(1024);
    return UvBuffer(room, in_.writable());
  }
  void OnRead(ssize_t count) override {
    ++reads_;
    if (count < 0) {
      read_error_ = static_cast<int>(count);
    } else {
      in_.Commit(static_cast<std::size_t>(count));
    }
    if (closes_when_read_) stream_.release()->Close();
  }
  void OnWritten(int status) override {
    ++writes_;
    EXPECT_EQ(status, 0);
  }

  uv_loop_t loop_{};
  Port port_;
  Stream::Ptr stream_;
  ByteQueue<> in_;
  int connects_ = 0;
  int connected_ = 0;
  int reads_ = 0;
  int read_error_ = 0;
  int writes_ = 0;
  bool closes_when_read_ = false;
};

TEST_F(TcpStreamTest, SaysThatNobodyListens) {
  ASSERT_EQ(stream_->Connect(port_.raw()), 0);
  RunUntil([this] { return connects_ > 0; });
  EXPECT_EQ(connected_, UV_ECONNREFUSED);
}

TEST_F(TcpStreamTest, CarriesBytesBothWaysAndTellsTheEnd) {
  Connect();
  ByteQueue<> out;
  out.Append("ping");
  ASSERT_EQ(stream_->Write(out), 0);
  EXPECT_TRUE(out.empty());
  EXPECT_FALSE(stream_->writing()) << "so little leaves at once";
  std::string received;
  EXPECT_EQ(port_.Receive(received), 4);
  EXPECT_EQ(received, "ping");
  port_.Send("pong");
  RunUntil([this] { return in_.size() == 4; });
  EXPECT_EQ(in_.view(), "pong");
  stream_.release()->Close();
  EXPECT_EQ(port_.Receive(received), 0) << "an orderly end";
}

TEST_F(TcpStreamTest, WritesFromTheLoopWhatTheKernelDoesNotTakeAtOnce) {
  Connect();
  const std::string much = Much();
  ByteQueue<> out;
  out.Append(much);
  ASSERT_EQ(stream_->Write(out), 0);
  EXPECT_TRUE(out.empty());
  ASSERT_TRUE(stream_->writing());
  EXPECT_GT(stream_->unwritten_bytes(), 0u);
  std::string received;
  while (received.size() < much.size()) {
    uv_run(&loop_, UV_RUN_NOWAIT);
    ASSERT_GT(port_.Receive(received), 0);
  }
  RunUntil([this] { return writes_ > 0; });
  EXPECT_FALSE(stream_->writing());
  EXPECT_EQ(stream_->unwritten_bytes(), 0u);
  EXPECT_TRUE(received == much);
  EXPECT_LE(out.capacity(), kKeptBytesMax);
}

TEST_F(TcpStreamTest, MayBeClosedByAnyOfItsCallsAndSaysNothingMore) {
  Connect();
  closes_when_read_ = true;
  port_.Send("first");
  RunUntil([this] { return stream_ == nullptr; });
  uv_run(&loop_, UV_RUN_DEFAULT);
  EXPECT_EQ(reads_, 1);
}

TEST_F(TcpStreamTest, ForgetsAnOwnerThatEndsWhileItConnectsOrWrites) {
  Connect();
  ByteQueue<> out;
  out.Append(Much());
  ASSERT_EQ(stream_->Write(out), 0);
  ASSERT_TRUE(stream_->writing());
  stream_.reset();
  uv_run(&loop_, UV_RUN_DEFAULT);
  EXPECT_EQ(writes_, 0);
  std::string received;
  ssize_t count = 1;
  while (count > 0) count = port_.Receive(received);
  EXPECT_EQ(count, -ECONNRESET) << "what was under way is discarded";

  stream_ = Stream::Create(&loop_, *this, kKeptBytesMax);
  ASSERT_EQ(stream_->Connect(port_.raw()), 0);
  stream_.reset();
  uv_run(&loop_, UV_RUN_DEFAULT);
  EXPECT_EQ(connects_, 1) << "the first one's";
}

}  // namespace
}  // namespace gyre
