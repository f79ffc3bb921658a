#include "ops/http_codec.h"

#include <algorithm>
#include <cassert>
#include <cctype>
#include <memory>
#include <utility>

#include "protocol/decoded.h"

namespace gyre {
namespace {

constexpr int kNotModified = 304;
// A connection whose request could not be understood cannot go on: where the next one begins is
// unknown.
constexpr int kBadRequest = 400;
constexpr int kBodyTooLarge = 413;
constexpr int kHeaderTooLarge = 431;
constexpr int kInternalError = 500;
constexpr int kUnavailable = 503;

constexpr std::string_view kNoRoom =
    "pages that others have asked for and not read yet hold all the memory of --http-port: "
    "ask again in a moment\n";

constexpr std::string_view kIfNoneMatch = "if-none-match";

bool IsIfNoneMatch(std::string_view name) {
  return std::equal(name.begin(), name.end(), kIfNoneMatch.begin(), kIfNoneMatch.end(),
                    [](unsigned char a, char b) { return std::tolower(a) == b; });
}

const char* Reason(int status) {
  switch (status) {
#define GYRE_REASON(number, name, text) \
  case number:                          \
    return #text;
    HTTP_STATUS_MAP(GYRE_REASON)
#undef GYRE_REASON
    default:
      return "Unknown";
  }
}

}  // namespace

std::string EncodeHttpResponse(const HttpResponse& response, bool keep_alive, bool head_only) {
  std::string bytes =
      "HTTP/1.1 " + std::to_string(response.status) + ' ' + Reason(response.status) + "\r\n";
  // What was not modified has a body all the same, whose length this is not.
  if (response.status != kNotModified) {
    bytes += "Content-Type: " + response.content_type +
             "\r\nContent-Length: " + std::to_string(response.body.size()) + "\r\n";
  }
  bytes += "Cache-Control: " + response.cache_control +
           "\r\nConnection: " + (keep_alive ? "keep-alive" : "close") + "\r\n";
  if (!response.etag.empty()) bytes += "ETag: " + response.etag + "\r\n";
  for (const HttpHeader& header : response.headers) {
    bytes += header.name + ": " + header.value + "\r\n";
  }
  if (response.status == 405) bytes += "Allow: GET, HEAD\r\n";
  bytes += "\r\n";
  if (!head_only) bytes += response.body;
  return bytes;
}

void HttpWriter::Fail(const Error& error) {
  // A page that found no room: the connection would name a bound that is not this port's.
  const bool no_room = error_status_ == kInternalError && error.code == ErrorCode::kTooLarge;
  const HttpResponse response = no_room ? HttpResponse::Text(kUnavailable, std::string(kNoRoom))
                                        : HttpResponse::Text(error_status_, error.message + '\n');
  out_.Append(EncodeHttpResponse(response, /*keep_alive=*/false, /*head_only=*/false));
}

HttpCodec::HttpCodec(const HttpLimits& limits) : limits_(limits) { BeginMessage(); }

void HttpCodec::BeginMessage() {
  http_parser_init(&parser_, HTTP_REQUEST);
  parser_.data = this;
  parsed_ = target_begin_ = target_bytes_ = 0;
  header_name_ = header_value_ = if_none_match_ = {};
  body_.clear();
  header_complete_ = body_too_large_ = complete_ = keep_alive_ = false;
  error_status_ = kInternalError;
}

const http_parser_settings& HttpCodec::Settings() {
  static const http_parser_settings settings = [] {
    http_parser_settings callbacks;
    http_parser_settings_init(&callbacks);
    callbacks.on_url = [](http_parser* parser, const char* at, std::size_t size) {
      HttpCodec& codec = Of(parser);
      if (codec.target_bytes_ == 0) {
        codec.target_begin_ = static_cast<std::size_t>(at - codec.input_);
      }
      codec.target_bytes_ += size;
      return 0;
    };
    // A name or a value may come in pieces, which lie one behind the other.
    callbacks.on_header_field = [](http_parser* parser, const char* at, std::size_t size) {
      HttpCodec& codec = Of(parser);
      if (codec.header_name_.bytes == 0 || codec.header_value_.begin != 0) {
        codec.header_name_ = {static_cast<std::size_t>(at - codec.input_), 0};
        codec.header_value_ = {};
      }
      codec.header_name_.bytes += size;
      return 0;
    };
    callbacks.on_header_value = [](http_parser* parser, const char* at, std::size_t size) {
      HttpCodec& codec = Of(parser);
      if (codec.header_value_.begin == 0) {
        codec.header_value_.begin = static_cast<std::size_t>(at - codec.input_);
      }
      codec.header_value_.bytes += size;
      if (IsIfNoneMatch(codec.header_name_.In({codec.input_, codec.input_bytes_}))) {
        codec.if_none_match_ = codec.header_value_;
      }
      return 0;
    };
    callbacks.on_headers_complete = [](http_parser* parser) {
      HttpCodec& codec = Of(parser);
      codec.header_complete_ = true;
      // Refused before its first byte, where the length is announced.
      codec.body_too_large_ = parser->content_length != ULLONG_MAX &&
                              parser->content_length > codec.limits_.body_bytes_max;
      return codec.body_too_large_ ? -1 : 0;
    };
    callbacks.on_body = [](http_parser* parser, const char* at, std::size_t size) {
      HttpCodec& codec = Of(parser);
      codec.body_too_large_ = codec.body_.size() + size > codec.limits_.body_bytes_max;
      if (codec.body_too_large_) return -1;
      codec.body_.append(at, size);
      return 0;
    };
    callbacks.on_message_complete = [](http_parser* parser) {
      HttpCodec& codec = Of(parser);
      codec.complete_ = true;
      codec.keep_alive_ = http_should_keep_alive(parser) != 0;
      http_parser_pause(parser, 1);  // the next request is another call's
      return 0;
    };
    return callbacks;
  }();
  return settings;
}

Decoded HttpCodec::Decode(std::string_view input, Request& request) {
  request.Clear();
  if (complete_) BeginMessage();
  assert(parsed_ <= input.size());
  input_ = input.data();
  input_bytes_ = input.size();
  // Before its end is seen, a header is fed no further than it may be long.
  std::size_t size = input.size();
  const bool in_header = !header_complete_;
  if (in_header && size > limits_.header_bytes_max)
    size = std::max(parsed_, limits_.header_bytes_max);
  if (parsed_ < size) {
    parsed_ += http_parser_execute(&parser_, &Settings(), input.data() + parsed_, size - parsed_);
  }
  input_ = nullptr;
  if (body_too_large_) {
    return Refuse(kBodyTooLarge, ErrorCode::kTooLarge,
                  "the body is over " + std::to_string(limits_.body_bytes_max) + " bytes");
  }
  if (complete_) return Complete(input, request);
  const http_errno error = HTTP_PARSER_ERRNO(&parser_);
  if (error != HPE_OK) {
    const int status = error == HPE_HEADER_OVERFLOW ? kHeaderTooLarge : kBadRequest;
    return Refuse(status, ErrorCode::kProtocol,
                  std::string("not an HTTP/1.1 request: ") + http_errno_description(error));
  }
  if (!header_complete_ && parsed_ >= limits_.header_bytes_max) {
    return Refuse(kHeaderTooLarge, ErrorCode::kTooLarge,
                  "the header is over " + std::to_string(limits_.header_bytes_max) + " bytes");
  }
  if (in_header && header_complete_ && parsed_ < input.size()) return Decode(input, request);
  return {.status = Decoded::Status::kNeedMore};
}

Decoded HttpCodec::Complete(std::string_view input, Request& request) {
  const std::string_view target = input.substr(target_begin_, target_bytes_);
  const std::size_t question = std::min(target.find('?'), target.size());
  request.args.emplace_back(http_method_str(static_cast<http_method>(parser_.method)));
  request.args.push_back(target.substr(0, question));
  request.args.push_back(question < target.size() ? target.substr(question + 1)
                                                  : target.substr(0, 0));
  request.args.emplace_back(keep_alive_ ? "keep-alive" : "close");
  if (if_none_match_.bytes > 0) request.args.push_back(if_none_match_.In(input));
  request.payload = body_;
  return {.status = Decoded::Status::kRequest, .consumed = parsed_};
}

Decoded HttpCodec::Refuse(int status, ErrorCode code, std::string message) {
  BeginMessage();
  error_status_ = status;
  return MalformedInput(code, std::move(message));
}

ReplyWriter* HttpCodec::WriterFor(const Request&, Buffer& out) {
  return new HttpWriter(std::exchange(error_status_, kInternalError), out);
}

void HttpCodec::Recycle(ReplyWriter* writer) {
  std::unique_ptr<HttpWriter>(static_cast<HttpWriter*>(writer)).reset();
}

CodecFactory MakeHttpCodecFactory(const HttpLimits& limits) {
  return [limits](Session&) { return std::make_unique<HttpCodec>(limits); };
}

}  // namespace gyre
