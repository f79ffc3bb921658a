#include "net/frame_link.h"

#include <algorithm>
#include <new>
#include <utility>

#include "base/buffer.h"
#include "base/client_memory.h"
#include "base/prng.h"
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

void Trim(Buffer& buffer) {
  if (buffer.empty() && buffer.capacity() > kKeptBytesMax) buffer.Release();
}

// One socket of one attempt. It outlives the link until libuv has closed it; `link` is null from
// then on.
struct Socket {
  explicit Socket(ClientMemoryAccount* account) : writing(account) {}

  uv_tcp_t handle{};
  uv_connect_t connect{};
  uv_write_t write{};
  Buffer writing;  // in `write`; freed with the socket, however the link ends
  void* link = nullptr;
};

// With a reset: what the kernel has not delivered yet is discarded. After an orderly close it would
// go on trying, for minutes, and deliver to a peer that was cut off requests which were given up
// long ago, for another node has the key by then.
struct ResetAndDelete {
  void operator()(Socket* socket) const {
    socket->handle.data = socket;
    const uv_close_cb on_closed = [](uv_handle_t* handle) {
      delete static_cast<Socket*>(handle->data);
    };
    if (uv_tcp_close_reset(&socket->handle, on_closed) != 0) {
      uv_close(reinterpret_cast<uv_handle_t*>(&socket->handle), on_closed);
    }
  }
};

}  // namespace

struct FrameLink::Impl {
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
  void OnConnected(int status);
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
  void OnWritten(int status);
  void OnAllocate(uv_buf_t* buffer);
  void OnRead(ssize_t count);
  bool OpenInput();
  void DeliverFrames();
  bool PassOver();
  ClientMemoryAccount* Account(ClientMemory::Kind kind) const {
    return ClientMemory::AccountOf(options.memory, kind);
  }

  std::size_t QueueBytes() const {
    return output.size() + (socket == nullptr ? 0 : socket->writing.size());
  }
  uv_stream_t* stream_handle() { return reinterpret_cast<uv_stream_t*>(&socket->handle); }
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
  std::unique_ptr<Socket, ResetAndDelete> socket;
  int last_error = 0;

  bool heard = false;  // a frame came on this connection

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
  bool write_in_flight = false;
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
  socket.reset(new Socket(Account(ClientMemory::Kind::kLinkOutput)));
  socket->link = this;
  socket->handle.data = socket.get();
  socket->connect.data = socket.get();
  uv_tcp_init(loop.raw(), &socket->handle);
  const int error = uv_tcp_connect(&socket->connect, &socket->handle, address.raw(),
                                   [](uv_connect_t* request, int status) {
                                     auto* owner = static_cast<Socket*>(request->data);
                                     if (owner->link != nullptr)
                                       static_cast<Impl*>(owner->link)->OnConnected(status);
                                   });
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
  heard = false;
  uv_tcp_nodelay(&socket->handle, 1);
  uv_read_start(
      stream_handle(),
      [](uv_handle_t* handle, std::size_t, uv_buf_t* buffer) {
        static_cast<Impl*>(static_cast<Socket*>(handle->data)->link)->OnAllocate(buffer);
      },
      [](uv_stream_t* stream, ssize_t count, const uv_buf_t*) {
        static_cast<Impl*>(static_cast<Socket*>(stream->data)->link)->OnRead(count);
      });
  options.keys == nullptr ? GoUp() : BeginHandshake();
}

void FrameLink::Impl::BeginHandshake() {
  handshake = std::make_unique<LinkInitiator>(*options.keys);
  std::string hello;
  AppendFrame(FrameType::kHandshake, 0, handshake->hello(), hello);
  uv_buf_t bytes = uv_buf_init(hello.data(), static_cast<unsigned>(hello.size()));
  const int written = uv_try_write(stream_handle(), &bytes, 1);
  // The first bytes of a new connection: its socket has room for them, unless it is broken again.
  if (written != static_cast<int>(hello.size())) {
    GoDown(ErrorCode::kUnavailable, "it broke at once", written < 0 ? written : 0);
  }
}

// The answer to our hello; or an error, in the clear, from a node without our key.
void FrameLink::Impl::OnHandshake() {
  if (sealed.size() < FrameHeader::kBytes) return;
  const auto refused = [this](const std::string& why) {
    options.keys->counters().handshakes_failed.fetch_add(1, std::memory_order_relaxed);
    GoDown(ErrorCode::kNotAllowed, why, 0);
  };
  const Result<FrameHeader> header = DecodeFrameHeader(sealed.data(), kHandshakeReplyBytesMax);
  if (!header) return refused(header.error().message);
  const std::size_t frame_bytes = FrameHeader::kBytes + header->payload_bytes;
  if (sealed.size() < frame_bytes) return;
  const std::string_view payload = sealed.view().substr(FrameHeader::kBytes, header->payload_bytes);
  if (header->type == FrameType::kReply) return refused(ReadRefusal(payload));
  if (header->type != FrameType::kHandshake) return refused("it does not answer as a node does");
  Result<std::unique_ptr<LinkStream>> agreed = handshake->OnAnswer(payload);
  handshake.reset();
  if (!agreed) return refused(agreed.error().message);
  options.keys->counters().handshakes.fetch_add(1, std::memory_order_relaxed);
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
  uv_buf_t bytes = uv_buf_init(greeting.mutable_data(), static_cast<unsigned>(greeting.size()));
  const int written = uv_try_write(stream_handle(), &bytes, 1);
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
  socket->link = nullptr;
  socket.reset();
  write_in_flight = false;
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
  if (state != State::kUp || write_in_flight || held || output.empty()) return;
  if (stream != nullptr && !SealOutput()) return;
  uv_buf_t bytes = uv_buf_init(output.mutable_data(), static_cast<unsigned>(output.size()));
  const int written = uv_try_write(stream_handle(), &bytes, 1);
  // An error is left to the read side, which hears of it as well, so that Send's caller gets no
  // callback.
  if (written > 0) output.Consume(static_cast<std::size_t>(written));
  output_frames = 0;
  if (output.empty()) return Trim(output);
  std::swap(socket->writing, output);
  Trim(output);
  bytes =
      uv_buf_init(socket->writing.mutable_data(), static_cast<unsigned>(socket->writing.size()));
  socket->write.data = socket.get();
  const int error =
      uv_write(&socket->write, stream_handle(), &bytes, 1, [](uv_write_t* request, int status) {
        auto* owner = static_cast<Socket*>(request->data);
        if (owner->link != nullptr) static_cast<Impl*>(owner->link)->OnWritten(status);
      });
  write_in_flight = error == 0;
  if (error != 0) socket->writing.Clear();
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
  Trim(spare);
  return true;
}

void FrameLink::Impl::OnWritten(int status) {
  write_in_flight = false;
  socket->writing.Clear();
  Trim(socket->writing);
  if (status != 0) return GoDown(ErrorCode::kIo, uv_strerror(status), status);
  Flush();
}

void FrameLink::Impl::OnAllocate(uv_buf_t* buffer) {
  if (options.keys != nullptr) {
    char* room = sealed.Prepare(kReadBytes);
    *buffer = uv_buf_init(room, static_cast<unsigned>(sealed.writable()));
    return;
  }
  // Less than that is there where a large frame found room for its next step only.
  if (!input.TryReserve(kReadBytes)) (void)input.TryReserve(1);
  *buffer = uv_buf_init(input.Prepare(0), static_cast<unsigned>(input.writable()));
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
    options.keys->counters().links_broken.fetch_add(1, std::memory_order_relaxed);
    GoDown(ErrorCode::kProtocol, opened.error().message, 0);
    return false;
  }
  sealed.Consume(*opened);
  Trim(sealed);
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
    const std::size_t frame_bytes = FrameHeader::kBytes + header->payload_bytes;
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
    if (kept->on_frame) {
      kept->on_frame(*header, {batch.data() + FrameHeader::kBytes, header->payload_bytes});
    }
    if (*gone || socket.get() != source) return;
    batch.Consume(frame_bytes);
  }
  input = std::move(batch);
  Trim(input);
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
