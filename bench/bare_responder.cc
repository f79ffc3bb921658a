// The floor of every measurement: a libuv server that reads, counts requests, and answers a
// constant. It parses nothing, stores nothing, and does with the kernel exactly what gyred does:
// one read, one write.
//
//   bare_responder [--port 7600] [--bytes N] [--value N]
//
// A request is counted where a RESP command begins: a '*' at the start of a line. With --bytes N
// each N bytes are one request. The answer is +OK, as to a SET; with --value N a bulk string of N
// bytes, as to a GET. Values that hold a line with a '*' in front would be counted, too:
// the load generators write none.
#include <uv.h>

#include <array>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <string>

namespace {

constexpr std::size_t kReadBytes = 64 * 1024;
// A read of nothing but '*' lines of two bytes holds so many requests.
constexpr std::size_t kRepliesMax = kReadBytes;
constexpr long kValueBytesMax = 1024;

std::array<char, kReadBytes> scratch;
std::string reply = "+OK\r\n";
std::string replies;            // kRepliesMax of it
std::size_t request_bytes = 0;  // --bytes

struct Client {
  uv_tcp_t handle{};
  bool line_start = true;     // the next byte begins a line
  std::size_t remainder = 0;  // --bytes: of an incomplete request
};

struct Write {
  uv_write_t request{};
  std::unique_ptr<char[]> bytes;
};

std::size_t CountCommands(Client& client, const char* data, std::size_t size) {
  if (request_bytes > 0) {
    client.remainder += size;
    const std::size_t count = client.remainder / request_bytes;
    client.remainder %= request_bytes;
    return count;
  }
  std::size_t count = client.line_start && data[0] == '*' ? 1 : 0;
  const char* const end = data + size;
  const char* at = data;
  while (at < end) {
    at = static_cast<const char*>(std::memchr(at, '\n', static_cast<std::size_t>(end - at)));
    if (at == nullptr) break;
    ++at;
    if (at < end && *at == '*') ++count;
  }
  client.line_start = end[-1] == '\n';
  return count;
}

void CloseClient(uv_stream_t* stream) {
  uv_close(reinterpret_cast<uv_handle_t*>(stream),
           [](uv_handle_t* handle) { delete static_cast<Client*>(handle->data); });
}

// What the kernel did not take at once.
void WriteLater(uv_stream_t* stream, std::size_t size) {
  auto* write = new Write;
  write->request.data = write;
  write->bytes.reset(new char[size]);
  std::memcpy(write->bytes.get(), replies.data(), size);
  uv_buf_t buffer = uv_buf_init(write->bytes.get(), static_cast<unsigned>(size));
  uv_write(&write->request, stream, &buffer, 1,
           [](uv_write_t* request, int) { delete static_cast<Write*>(request->data); });
}

void OnRead(uv_stream_t* stream, ssize_t count, const uv_buf_t* buffer) {
  if (count == 0) return;
  if (count < 0) return CloseClient(stream);
  auto& client = *static_cast<Client*>(stream->data);
  const std::size_t size =
      CountCommands(client, buffer->base, static_cast<std::size_t>(count)) * reply.size();
  if (size == 0) return;
  uv_buf_t output = uv_buf_init(replies.data(), static_cast<unsigned>(size));
  const int written = uv_try_write(stream, &output, 1);
  const std::size_t done = written > 0 ? static_cast<std::size_t>(written) : 0;
  // Every reply is the same: what is left is any `size - done` bytes that end where a reply ends.
  if (done < size) {
    std::memmove(replies.data(), replies.data() + done, size - done);
    WriteLater(stream, size - done);
    for (std::size_t i = 0; i < size; ++i) replies[i] = reply[i % reply.size()];
  }
}

void OnConnection(uv_stream_t* listener, int status) {
  if (status != 0) return;
  auto* client = new Client;
  uv_tcp_init(listener->loop, &client->handle);
  client->handle.data = client;
  auto* stream = reinterpret_cast<uv_stream_t*>(&client->handle);
  if (uv_accept(listener, stream) != 0) return CloseClient(stream);
  uv_tcp_nodelay(&client->handle, 1);
  uv_read_start(
      stream,
      [](uv_handle_t*, std::size_t, uv_buf_t* buffer) {
        *buffer = uv_buf_init(scratch.data(), kReadBytes);
      },
      OnRead);
}

[[noreturn]] void Usage() {
  std::fputs("usage: bare_responder [--port N] [--bytes N] [--value N]\n", stderr);
  std::exit(2);
}

}  // namespace

int main(int argc, char** argv) {
  int port = 7600;
  for (int i = 1; i < argc; i += 2) {
    if (i + 1 == argc) Usage();
    const std::string flag = argv[i];
    const long value = std::strtol(argv[i + 1], nullptr, 10);
    if (value <= 0) Usage();
    if (flag == "--port") {
      port = static_cast<int>(value);
    } else if (flag == "--bytes") {
      request_bytes = static_cast<std::size_t>(value);
    } else if (flag == "--value" && value <= kValueBytesMax) {
      reply = "$" + std::to_string(value) + "\r\n" + std::string(value, 'x') + "\r\n";
    } else {
      Usage();
    }
  }
  replies.reserve(kRepliesMax * reply.size());
  for (std::size_t i = 0; i < kRepliesMax; ++i) replies += reply;

  uv_loop_t* loop = uv_default_loop();
  uv_tcp_t listener;
  sockaddr_in address;
  uv_tcp_init(loop, &listener);
  uv_ip4_addr("127.0.0.1", port, &address);
  int error = uv_tcp_bind(&listener, reinterpret_cast<const sockaddr*>(&address), 0);
  if (error == 0) error = uv_listen(reinterpret_cast<uv_stream_t*>(&listener), 1024, OnConnection);
  if (error != 0) {
    std::fprintf(stderr, "bare_responder: cannot listen on port %d: %s\n", port,
                 uv_strerror(error));
    return 2;
  }
  std::printf("bare_responder: listening on 127.0.0.1:%d\n", port);
  std::fflush(stdout);
  return uv_run(loop, UV_RUN_DEFAULT);
}
