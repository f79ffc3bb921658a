#include "ops/admin_http.h"

#include <algorithm>
#include <utility>

#include "ops/http_codec.h"

namespace gyre {
namespace {

// Whether a list of entity tags has this one. W/"x" names "x", too (RFC 9110, 13.1.2).
bool Names(std::string_view list, std::string_view etag) {
  return !etag.empty() && (list == "*" || list.find(etag) != std::string_view::npos);
}

HttpResponse NotModified(HttpResponse response) {
  response.status = 304;
  response.body.clear();
  return response;
}

}  // namespace

void AdminHttp::Route(std::string path, RouteHandler handler) {
  RouteLate(std::move(path),
            [handler = std::move(handler)](const HttpRequest& request, const auto& done) {
              done(handler(request));
            });
}

void AdminHttp::RouteLate(std::string path, LateHandler handler) {
  routes_.insert_or_assign(std::move(path), std::move(handler));
}

void AdminHttp::Handle(const Request& request, Session& session, Responder& responder) {
  const HttpRequest http = {.method = request.args[0],
                            .path = request.args[1],
                            .query = request.args[2],
                            .body = request.payload,
                            .if_none_match = request.args.size() > 4 ? request.args[4] : ""};
  const bool keep_alive = request.args[3] == "keep-alive";
  if (!keep_alive) session.close_after_reply = true;
  const bool head_only = http.method == "HEAD";
  Respond(http, [keep_alive, head_only, known = std::string(http.if_none_match),
                 pending = responder.Defer()](const HttpResponse& response) mutable {
    pending.FinishWith([&](ReplyWriter& writer) {
      writer.Bulk(Names(known, response.etag)
                      ? EncodeHttpResponse(NotModified(response), keep_alive, head_only)
                      : EncodeHttpResponse(response, keep_alive, head_only));
    });
  });
}

void AdminHttp::Respond(const HttpRequest& request,
                        std::function<void(const HttpResponse&)> done) const {
  const auto route = routes_.find(request.path);
  if (route == routes_.end()) {
    std::string paths;
    for (const auto& [path, handler] : routes_) paths += ' ' + path;
    return done(HttpResponse::Text(404, "no such page; there are:" + paths + '\n'));
  }
  if (request.method != "GET" && request.method != "HEAD") {
    return done(HttpResponse::Text(405, "only GET and HEAD\n"));
  }
  route->second(request, std::move(done));
}

bool HasParameter(std::string_view query, std::string_view parameter) {
  while (!query.empty()) {
    const std::size_t end = std::min(query.find('&'), query.size());
    if (query.substr(0, end) == parameter) return true;
    query.remove_prefix(std::min(end + 1, query.size()));
  }
  return false;
}

}  // namespace gyre
