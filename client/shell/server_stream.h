// A connection to a server that is not ours (Redis, memcached), for the calling thread, which waits.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "gyre/client.h"

namespace gyre::client {

// scheme://[user:password@]host[:port][/path], the user and the password percent-encoded.
struct ServerUrl {
  std::string scheme;
  std::string user;
  std::string password;
  std::string host;
  std::uint16_t port = 0;
  std::string path;  // without the slash

  // "host:port", as messages name it: without the password.
  std::string address() const;
};

// Nothing: `text` has no "://", so it is no URL. kInvalidArgument: it is none that makes sense.
std::optional<Result<ServerUrl>> ParseServerUrl(std::string_view text, std::uint16_t redis_port,
                                                std::uint16_t memcached_port);
// "%41" -> "A". Nothing: a '%' without two digits behind it.
std::optional<std::string> DecodePercent(std::string_view text);

// A TCP connection with a buffer on each side. Errors are kIo (kCannotConnect from Connect) and name
// the server; they are final.
class ServerStream {
 public:
  // A server that says nothing for so long is given up.
  static constexpr Milliseconds kSilenceMax{60000};
  static constexpr Milliseconds kConnectTimeout{5000};
  // Of one line.
  static constexpr std::size_t kLineBytesMax = std::size_t{1} << 20;

  static Result<std::unique_ptr<ServerStream>> Connect(const ServerUrl& url);
  ~ServerStream();
  ServerStream(const ServerStream&) = delete;
  ServerStream& operator=(const ServerStream&) = delete;

  // Is sent with the next Flush.
  void Append(std::string_view bytes) { out_ += bytes; }
  std::size_t appended() const { return out_.size(); }
  std::optional<Error> Flush();
  // Up to "\r\n" or "\n", without it.
  Result<std::string> ReadLine();
  // `bytes` and the "\r\n" behind them, without that.
  Result<std::string> ReadBlock(std::size_t bytes);

  Error Broken(const std::string& why) const;

 private:
  ServerStream(int socket, std::string address) : socket_(socket), address_(std::move(address)) {}
  std::optional<Error> Fill();

  const int socket_;
  const std::string address_;
  std::string out_;
  std::string in_;
  std::size_t in_begin_ = 0;
};

}  // namespace gyre::client
