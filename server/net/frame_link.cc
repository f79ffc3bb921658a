#include "net/frame_link.h"

#include <algorithm>
#include <new>
#include <utility>

#include "base/buffer.h"
#include "base/client_memory.h"
#include "base/prng.h"
#include "common/tcp_stream.h"
#include "crypto/link_handshake.h"
#include "net/resolver.h"
#include "protocol/native_codec.h"
#include "protocol/native_writer.h"

namespace gyre {
namespace {

// Frames are read into a block of this size; a larger one gets room of its own, in the same buffer.
constexpr std::size_t kReadBytes = 64 * 1024;
// Memory that an empty buffer keeps.
constexpr std::size_t kKeptBytesMax = 256 * 1024;

// The reply of a node that refuses a handshake.
constexpr std::size_t kHandshakeReplyBytesMax = 4096;
// Of its words, as far as they are repeated.
constexpr std::size_t kRefusalBytesMax = 256;

using Socket = TcpStream<Buffer>;

// What a node says that refuses the handshake. It has proven nothing, so its words are made
// harmless for a log.
std::string ReadRefusal(std::string_view payload) {
  const Result<Reply> reply = DecodeReply(payload, nullptr);
  if (!reply || reply->kind != Reply::Kind::kError) return "it refuses the handshake";
  std::string words = reply->bytes.substr(0, kRefusalBytesMax);
  std::replace_if(
      words.begin(), words.end(), [](char byte) { return byte < ' ' || byte > '~'; }, '?');
  return words;
}

}  // namespace

struct FrameLink::Impl final : TcpStreamOwner {
  Impl(EventLoop& loop_in, std::string host_in, std::uint16_t port_in, FrameLinkOptions options_in,
       Callbacks callbacks_in)
      : loop(loop_in),
        host(std::move(host_in)),
        port(port_in),
        options(options_in),
        callbacks(std::make_shared<const Callbacks>(std::move(callbacks_in))),
        resolver(loop_in, Duration::zero()),
        connect_timer(loop_in),
        flush(loop_in, [this] { Flush(); }),
        jitter(reinterpret_cast<std::uintptr_t>(this) ^
               static_cast<std::uint64_t>(loop_in.now().time_since_epoch().count())),
        sealed(Account(ClientMemory::Kind::kLinkInput)),
        spare(Account(ClientMemory::Kind::kLinkOutput)),
        output(Account(ClientMemory::Kind::kLinkOutput)),
        input(Account(ClientMemory::Kind::kLinkInput)) {}

  ~Impl() {
    CloseSocket();
    *destroyed = true;
  }

  // Connecting.
  bool BeginConnect();
  void OnResolved(Result<std::vector<SocketAddress>> found);
  void TryNextAddress();
  void OnConnected(int status) override;
  void BeginHandshake();
  void OnHandshake();
  bool Greet();
  void GoUp();
  void CloseSocket();
  void GoDown(ErrorCode code, const std::string& reason, int uv_error);

  // Traffic.
  bool Send(FrameType type, std::uint64_t request_id, std::string_view payload);
  void Flush();
  bool SealOutput();
  void OnWritten(int status) override;
  uv_buf_t OnAllocate() override;
  void OnRead(ssize_t count) override;
  bool OpenInput();
  void DeliverFrames();
  bool PassOver();
  ClientMemoryAccount* Account(ClientMemory::Kind kind) const {
    return ClientMemory::AccountOf(options.memory, kind);
  }

  std::size_t QueueBytes() const {
    return output.size() + (socket == nullptr ? 0 : socket->unwritten_bytes());
  }
  std::string name() const { return host + ':' + std::to_string(port); }

  EventLoop& loop;
  const std::string host;
  const std::uint16_t port;
  const FrameLinkOptions options;
  // Shared with a callback that is running, which may destroy the link.
  const std::shared_ptr<const Callbacks> callbacks;

  State state = State::kDown;
  Resolver resolver;
  Timer connect_timer;
  EndOfIteration flush;
  Prng jitter;
  std::vector<SocketAddress> addresses;  // left to try in this attempt, next one last
  Socket::Ptr socket;                    // of this attempt
  int last_error = 0;

  bool heard = false;         // a frame came on this connection
  bool said_goodbye = false;  // the peer did

  // With keys.
  std::unique_ptr<LinkInitiator> handshake;  // until the answer came
  std::unique_ptr<LinkStream> stream;
  Buffer sealed;      // came, and is not opened yet
  Buffer spare;       // used again for each flush
  bool held = false;  // see Hold

  // After failures.
  Duration backoff{};
  TimePoint not_before{};

  Buffer output;                    // frames that no write has taken
  std::uint64_t output_frames = 0;  // whole ones among them
  Buffer input;
  std::size_t skip_bytes = 0;  // left of a frame that found no room
  FrameHeader skipped;         // its header

  // Set by the destructor; a callback that is running keeps the flag and looks.
  const std::shared_ptr<bool> destroyed = std::make_shared<bool>(false);
};

// ---- Connecting -------------------------------------------------------------------------------

bool FrameLink::Impl::BeginConnect() {
  if (state != State::kDown) return true;
  if (loop.now() < not_before) return false;
  state = State::kConnecting;
  connect_timer.Start(options.connect_timeout, Duration::zero(), [this] {
    GoDown(ErrorCode::kUnavailable, "no connection in time", UV_ETIMEDOUT);
  });
  // Even a numeric address goes on from the loop, so that no callback comes from within the
  // caller's Send.
  if (auto numeric = SocketAddress::FromNumeric(host, port)) {
    addresses = {*numeric};
    flush.Schedule();
    return true;
  }
  resolver.Resolve(host, port, [this](Result<std::vector<SocketAddress>> found) {
    OnResolved(std::move(found));
  });
  return true;
}

void FrameLink::Impl::OnResolved(Result<std::vector<SocketAddress>> found) {
  if (state != State::kConnecting) return;  // closed meanwhile
  if (!found) return GoDown(ErrorCode::kUnavailable, found.error().message, 0);
  addresses.assign(found->rbegin(), found->rend());
  TryNextAddress();
}

void FrameLink::Impl::TryNextAddress() {
  if (addresses.empty()) {
    // From a timer: this may be within the caller's Flush.
    connect_timer.Start(Duration::zero(), Duration::zero(), [this] {
      GoDown(ErrorCode::kUnavailable, uv_strerror(last_error), last_error);
    });
    return;
  }
  const SocketAddress address = addresses.back();
  addresses.pop_back();
  CloseSocket();
  socket = Socket::Create(loop.raw(), *this, kKeptBytesMax,
                          Buffer(Account(ClientMemory::Kind::kLinkOutput)));
  const int error = socket->Connect(address.raw());
  if (error != 0) {
    last_error = error;
    TryNextAddress();
  }
}

void FrameLink::Impl::OnConnected(int status) {
  loop.now();
  if (status != 0) {
    last_error = status;
    return TryNextAddress();
  }
  heard = said_goodbye = false;
  options.keys == nullptr ? GoUp() : BeginHandshake();
}

void FrameLink::Impl::BeginHandshake() {
  handshake = std::make_unique<LinkInitiator>(*options.keys);
  std::string hello;
  AppendFrame(FrameType::kHandshake, 0, handshake->hello(), hello);
  const int written = socket->TryWrite(hello);
  // The first bytes of a new connection: its socket has room for them, unless it is broken again.
  if (written != static_cast<int>(hello.size())) {
    GoDown(ErrorCode::kUnavailable, "it broke at once", written < 0 ? written : 0);
  }
}

// The answer to our hello; or an error, in the clear, from a node without our key.
void FrameLink::Impl::OnHandshake() {
  if (sealed.size() < FrameHeader::kBytes) return;
  const auto refused = [this](const std::string& why) {
    options.keys->counters()[&CryptoStats::handshakes_failed].Add(1);
    GoDown(ErrorCode::kNotAllowed, why, 0);
  };
  const Result<FrameHeader> header = DecodeFrameHeader(sealed.data(), kHandshakeReplyBytesMax);
  if (!header) return refused(header.error().message);
  const std::size_t frame_bytes = header->frame_bytes();
  if (sealed.size() < frame_bytes) return;
  const std::string_view payload = sealed.view().substr(FrameHeader::kBytes, header->payload_bytes);
  if (header->type == FrameType::kReply) return refused(ReadRefusal(payload));
  if (header->type != FrameType::kHandshake) return refused("it does not answer as a node does");
  Result<std::unique_ptr<LinkStream>> agreed = handshake->OnAnswer(payload);
  handshake.reset();
  if (!agreed) return refused(agreed.error().message);
  options.keys->counters()[&CryptoStats::handshakes].Add(1);
  stream = std::move(*agreed);
  sealed.Consume(frame_bytes);
  GoUp();
}

// False: the link went down.
bool FrameLink::Impl::Greet() {
  if (options.greeting.empty()) return true;
  std::string frame;
  AppendFrame(FrameType::kPeerRequest, 0, options.greeting, frame);
  Buffer greeting;
  if (stream != nullptr) {
    stream->Seal(frame, greeting);
  } else {
    greeting.Append(frame);
  }
  const int written = socket->TryWrite(greeting.view());
  // As the hello: its socket has room for them, unless it is broken again.
  if (written == static_cast<int>(greeting.size())) return true;
  GoDown(ErrorCode::kUnavailable, "it broke at once", written < 0 ? written : 0);
  return false;
}

void FrameLink::Impl::GoUp() {
  if (!Greet()) return;
  connect_timer.Stop();
  addresses.clear();
  state = State::kUp;
  const std::shared_ptr<bool> gone = destroyed;
  const auto kept = callbacks;
  if (kept->on_up) kept->on_up();
  if (*gone) return;
  Flush();
}

void FrameLink::Impl::CloseSocket() {
  if (socket == nullptr) return;
  socket.reset();
  handshake.reset();
  stream.reset();
  sealed.Release();
  held = false;
}

// Everything that was queued is forgotten, then the owner is told.
void FrameLink::Impl::GoDown(ErrorCode code, const std::string& reason, int uv_error) {
  Down down;
  down.error = {code, "the link to " + name() + " is down: " + reason};
  down.was_up = state == State::kUp;
  down.refused = uv_error == UV_ECONNREFUSED;
  down.reset = uv_error == UV_ECONNRESET || uv_error == UV_EPIPE || uv_error == UV_EOF;
  down.goodbye = said_goodbye;
  down.frames_unsent = output_frames;
  // A peer that accepts and says nothing is no better than one that refuses.
  if (!down.was_up || !heard) {
    backoff = std::clamp(backoff * 2, options.backoff_min, options.backoff_max);
    const auto half = static_cast<std::uint64_t>(backoff.count() / 2);
    not_before = loop.now() + Duration(half + jitter.Below(half + 1));
  }
  connect_timer.Stop();
  flush.Cancel();
  CloseSocket();
  addresses.clear();
  output.Release();
  output_frames = 0;
  input.Release();
  skip_bytes = 0;
  state = State::kDown;
  const auto kept = callbacks;
  if (kept->on_down) kept->on_down(down);  // may destroy the link: nothing follows
}

// ---- Traffic ----------------------------------------------------------------------------------

bool FrameLink::Impl::Send(FrameType type, std::uint64_t request_id, std::string_view payload) {
  const std::size_t bytes = FrameHeader::kBytes + payload.size();
  if (QueueBytes() + bytes > options.queue_bytes_max || !output.TryReserve(bytes)) return false;
  if (!BeginConnect()) return false;
  FrameHeader header;
  header.type = type;
  header.request_id = request_id;
  header.payload_bytes = static_cast<std::uint32_t>(payload.size());
  EncodeFrameHeader(header, output.Prepare(bytes));
  output.Commit(FrameHeader::kBytes);
  output.Append(payload);
  ++output_frames;
  flush.Schedule();
  return true;
}

void FrameLink::Impl::Flush() {
  if (state == State::kConnecting && socket == nullptr && !addresses.empty()) {
    return TryNextAddress();
  }
  if (state != State::kUp || socket->writing() || held || output.empty()) return;
  if (stream != nullptr && !SealOutput()) return;
  // An error is left to the read side, which hears of it as well, so that Send's caller gets no
  // callback.
  (void)socket->Write(output);
  output_frames = 0;
}

// False: the key is gone, and the link goes down.
bool FrameLink::Impl::SealOutput() {
  if (stream->revoked()) {
    // From a timer: this may be within the caller's Send.
    connect_timer.Start(Duration::zero(), Duration::zero(), [this] {
      GoDown(ErrorCode::kUnavailable, "its gossip key was removed from --gossip-key", 0);
    });
    return false;
  }
  stream->Seal(output.view(), spare);
  std::swap(output, spare);
  spare.Clear();
  spare.Trim(kKeptBytesMax);
  return true;
}

void FrameLink::Impl::OnWritten(int status) {
  if (status != 0) return GoDown(ErrorCode::kIo, uv_strerror(status), status);
  Flush();
}

uv_buf_t FrameLink::Impl::OnAllocate() {
  if (options.keys != nullptr) {
    char* const room = sealed.Prepare(kReadBytes);
    return UvBuffer(room, sealed.writable());
  }
  // Less than that is there where a large frame found room for its next step only.
  if (!input.TryReserve(kReadBytes)) (void)input.TryReserve(1);
  char* const room = input.Prepare(0);
  return UvBuffer(room, input.writable());
}

void FrameLink::Impl::OnRead(ssize_t count) {
  loop.now();
  if (count < 0) {
    return GoDown(ErrorCode::kIo,
                  count == UV_EOF ? "closed by the peer" : uv_strerror(static_cast<int>(count)),
                  static_cast<int>(count));
  }
  if (options.keys == nullptr) {
    input.Commit(static_cast<std::size_t>(count));
    return DeliverFrames();
  }
  sealed.Commit(static_cast<std::size_t>(count));
  if (state == State::kConnecting) return OnHandshake();
  if (OpenInput()) DeliverFrames();
}

// False if the link went down.
bool FrameLink::Impl::OpenInput() {
  Result<std::size_t> opened = std::size_t{0};
  try {
    opened = stream->Open(sealed.view(), input);
  } catch (const std::bad_alloc&) {
    GoDown(ErrorCode::kIo, "there is no room for a frame of it (see --client-memory)", 0);
    return false;
  }
  if (!opened) {
    options.keys->counters()[&CryptoStats::links_broken].Add(1);
    GoDown(ErrorCode::kProtocol, opened.error().message, 0);
    return false;
  }
  sealed.Consume(*opened);
  sealed.Trim(kKeptBytesMax);
  return true;
}

// Drops what came of a frame that found no room, and delivers an error in its place once it is over.
// False: there is no more to deliver, or the link is gone.
bool FrameLink::Impl::PassOver() {
  const std::size_t bytes = std::min(skip_bytes, input.size());
  input.Consume(bytes);
  skip_bytes -= bytes;
  if (skip_bytes > 0) return false;
  Request request;
  request.id = skipped.request_id;
  if (skipped.type == FrameType::kPeerReply) request.kind = Request::Kind::kPeer;
  Buffer reply;
  NativeWriter writer;
  writer.Start(request, reply);
  writer.Fail(ReplyTooLarge());
  const auto kept = callbacks;
  const Socket* const source = socket.get();
  const std::shared_ptr<bool> gone = destroyed;
  if (kept->on_frame) kept->on_frame(skipped, reply.view().substr(FrameHeader::kBytes));
  return !*gone && socket.get() == source;
}

void FrameLink::Impl::DeliverFrames() {
  if (skip_bytes > 0 && !PassOver()) return;
  // The callback may close or destroy the link; what it was given stays valid until it returns.
  Buffer batch = std::move(input);
  const auto kept = callbacks;
  const Socket* const source = socket.get();
  const std::shared_ptr<bool> gone = destroyed;
  Result<FrameHeader> header;
  while (batch.size() >= FrameHeader::kBytes) {
    header = DecodeFrameHeader(batch.data(), options.payload_bytes_max);
    if (!header) break;
    const std::size_t frame_bytes = header->frame_bytes();
    if (batch.size() < frame_bytes) {
      // Not all at once: a header alone must not get memory for the payload that it announces.
      const std::size_t missing = frame_bytes - batch.size();
      if (!batch.TryReserve(Buffer::Step(batch.size(), missing))) {
        skipped = *header;
        skip_bytes = missing;
        batch.Release();
      }
      break;
    }
    heard = true;
    backoff = Duration::zero();
    if (header->type == FrameType::kGoodbye) {
      said_goodbye = true;
    } else if (kept->on_frame) {
      kept->on_frame(*header, {batch.data() + FrameHeader::kBytes, header->payload_bytes});
    }
    if (*gone || socket.get() != source) return;
    batch.Consume(frame_bytes);
  }
  input = std::move(batch);
  input.Trim(kKeptBytesMax);
  if (!header) GoDown(ErrorCode::kProtocol, header.error().message, 0);
}

// ---- FrameLink --------------------------------------------------------------------------------

FrameLink::FrameLink(EventLoop& loop, std::string host, std::uint16_t port,
                     FrameLinkOptions options, Callbacks callbacks)
    : impl_(new Impl(loop, std::move(host), port, options, std::move(callbacks))) {}

FrameLink::~FrameLink() = default;

FrameLink::State FrameLink::state() const { return impl_->state; }

std::size_t FrameLink::queue_bytes() const { return impl_->QueueBytes(); }

bool FrameLink::Send(FrameType type, std::uint64_t request_id, std::string_view payload) {
  return impl_->Send(type, request_id, payload);
}

void FrameLink::Flush() { impl_->Flush(); }

bool FrameLink::Connect() { return impl_->BeginConnect(); }

void FrameLink::ResetBackoff() {
  impl_->backoff = Duration::zero();
  impl_->not_before = TimePoint{};
}

bool FrameLink::outdated() const {
  return impl_->state == State::kUp && impl_->stream != nullptr && impl_->stream->outdated();
}

bool FrameLink::Hold() {
  impl_->Flush();
  impl_->held = impl_->output.empty();
  return impl_->held;
}

void FrameLink::Renew() {
  Impl& link = *impl_;
  link.connect_timer.Stop();
  link.CloseSocket();
  link.addresses.clear();
  link.input.Release();
  link.skip_bytes = 0;
  link.state = State::kDown;
  ResetBackoff();
  if (!link.output.empty()) link.BeginConnect();
}

void FrameLink::Close() {
  impl_->connect_timer.Stop();
  impl_->flush.Cancel();
  impl_->CloseSocket();
  impl_->addresses.clear();
  impl_->output.Release();
  impl_->output_frames = 0;
  impl_->skip_bytes = 0;
  impl_->input.Release();
  impl_->state = State::kDown;
}

}  // namespace gyre
