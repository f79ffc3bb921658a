// The admin port: HTTP/1.1 for probes and scrapers. A Codec (bytes <-> requests, over http-parser)
// and a Handler with a table of routes; both run on net's Server like every other protocol.
//
//   AdminHttp admin;
//   admin.Route("/health", [](const HttpRequest&) { return HttpResponse::Text(200, "ok\n"); });
//   server.Listen({.port = 7780, .protocol = Protocol::kHttp,
//                  .codec = MakeHttpCodecFactory({}), .handler = &admin});
//
// GET and HEAD, keep-alive and pipelining. In a Request, args are {method, path, query,
// "keep-alive" | "close"} and, where the client sent one, If-None-Match; the payload is the body.
#pragma once

#include <cstddef>
#include <functional>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "protocol/codec.h"
#include "protocol/handler.h"

namespace gyre {

struct HttpLimits {
  std::size_t header_bytes_max = 16 * 1024;  // request line included; more: 431
  std::size_t body_bytes_max = 64 * 1024;    // more: 413
};

CodecFactory MakeHttpCodecFactory(const HttpLimits& limits);

// Views are valid for the call.
struct HttpRequest {
  std::string_view method;
  std::string_view path;   // as sent, without the query
  std::string_view query;  // behind the '?', may be empty
  std::string_view body;
  std::string_view if_none_match;  // as sent, may be empty
};

// Whether the query has this parameter with that value: "a=1" in "b=2&a=1".
bool HasParameter(std::string_view query, std::string_view parameter);

struct HttpHeader {
  std::string name;
  std::string value;  // on one line
};

struct HttpResponse {
  int status = 200;
  std::string content_type = "text/plain; charset=utf-8";
  std::string body;
  std::string cache_control = "no-store";
  // In its quotes; who has that body already (If-None-Match) gets 304 in place of it. Empty: none.
  std::string etag;
  std::vector<HttpHeader> headers;  // further ones

  static HttpResponse Text(int status, std::string body) {
    return {.status = status, .body = std::move(body)};
  }
  static HttpResponse Json(int status, std::string body) {
    return {.status = status, .content_type = "application/json", .body = std::move(body)};
  }
};

class AdminHttp final : public Handler {
 public:
  // Runs on the loop that serves the port; must not block for long.
  using RouteHandler = std::function<HttpResponse(const HttpRequest&)>;

  // Likewise, with a response that may come later, on this loop, once; what `request` refers to is gone
  // by then.
  using LateHandler =
      std::function<void(const HttpRequest&, std::function<void(const HttpResponse&)> done)>;

  // Before the server listens. `path` is matched exactly; "/" may be one.
  void Route(std::string path, RouteHandler handler);
  void RouteLate(std::string path, LateHandler handler);

  void Handle(const Request& request, Session& session, Responder& responder) override;

 private:
  void Respond(const HttpRequest& request, std::function<void(const HttpResponse&)> done) const;

  std::map<std::string, LateHandler, std::less<>> routes_;
};

}  // namespace gyre
