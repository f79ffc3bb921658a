// HTTP/1.1 as a Codec, over http-parser. Private to this module; see admin_http.h.
//
// The parser is fed each byte once, whatever the reads look like. What it finds is kept as offsets
// into the request, because the input moves between calls; only a body is copied, because chunks
// need not be contiguous.
#pragma once

#include <http_parser.h>

#include <cstddef>
#include <string>
#include <string_view>

#include "ops/admin_http.h"
#include "protocol/codec.h"

namespace gyre {

// A response as bytes. `head_only`: without the body, but with its length (HEAD).
std::string EncodeHttpResponse(const HttpResponse& response, bool keep_alive, bool head_only);

// Takes a whole encoded response as Bulk. Any other reply is an error of the codec or the
// connection, which becomes a response of its own that ends the connection.
class HttpWriter final : public ReplyWriter {
 public:
  HttpWriter(int error_status, Buffer& out) : error_status_(error_status), out_(out) {}

  void Bulk(std::string_view bytes) override { out_.Append(bytes); }
  void Fail(const Error& error) override;

  void Null() override { Unsupported(); }
  void Word(Outcome) override { Unsupported(); }
  void Text(std::string_view) override { Unsupported(); }
  void Integer(std::int64_t) override { Unsupported(); }
  void Unsigned(std::uint64_t) override { Unsupported(); }
  void Double(double) override { Unsupported(); }
  void Boolean(bool) override { Unsupported(); }
  void BeginList(ListShape, std::size_t) override { Unsupported(); }
  void EndList() override {}
  void BeginRecord(const RecordHead&) override { Unsupported(); }
  void Chunk(std::string_view) override {}
  void EndRecord() override {}
  void Peer(std::string_view) override { Unsupported(); }

 private:
  void Unsupported() { Fail({ErrorCode::kInternal, "a reply that HTTP cannot carry"}); }

  const int error_status_;
  Buffer& out_;
};

class HttpCodec final : public Codec {
 public:
  explicit HttpCodec(const HttpLimits& limits);

  Decoded Decode(std::string_view input, Request& request) override;
  ReplyWriter* WriterFor(const Request& request, Buffer& out) override;
  void Recycle(ReplyWriter* writer) override;
  bool ordered() const override { return true; }

 private:
  static const http_parser_settings& Settings();
  static HttpCodec& Of(http_parser* parser) { return *static_cast<HttpCodec*>(parser->data); }

  void BeginMessage();
  Decoded Complete(std::string_view input, Request& request);
  Decoded Refuse(int status, ErrorCode code, std::string message);

  // A piece of the request. No header begins where the request does.
  struct Piece {
    std::size_t begin = 0;
    std::size_t bytes = 0;
    std::string_view In(std::string_view input) const { return input.substr(begin, bytes); }
  };

  const HttpLimits limits_;
  http_parser parser_{};

  // The request so far.
  const char* input_ = nullptr;  // during a call of the parser
  std::size_t input_bytes_ = 0;
  std::size_t parsed_ = 0;
  std::size_t target_begin_ = 0;
  std::size_t target_bytes_ = 0;
  Piece header_name_;  // the one that is being read
  Piece header_value_;
  Piece if_none_match_;
  bool header_complete_ = false;
  std::string body_;
  bool body_too_large_ = false;
  bool complete_ = false;
  bool keep_alive_ = false;

  int error_status_ = 500;  // for the next Fail
};

}  // namespace gyre
