#include "ops/admin_http.h"

#include <utility>

#include "ops/http_codec.h"

namespace gyre {

void AdminHttp::Route(std::string path, RouteHandler handler) {
  routes_.insert_or_assign(std::move(path), std::move(handler));
}

void AdminHttp::Handle(const Request& request, Session& session, Responder& responder) {
  const HttpRequest http = {.method = request.args[0],
                            .path = request.args[1],
                            .query = request.args[2],
                            .body = request.payload};
  const bool keep_alive = request.args[3] == "keep-alive";
  if (!keep_alive) session.close_after_reply = true;
  responder.writer().Bulk(EncodeHttpResponse(Respond(http), keep_alive, http.method == "HEAD"));
}

HttpResponse AdminHttp::Respond(const HttpRequest& request) const {
  const auto route = routes_.find(request.path);
  if (route == routes_.end()) {
    std::string paths;
    for (const auto& [path, handler] : routes_) paths += ' ' + path;
    return HttpResponse::Text(404, "no such page; there are:" + paths + '\n');
  }
  if (request.method != "GET" && request.method != "HEAD") {
    return HttpResponse::Text(405, "only GET and HEAD\n");
  }
  return route->second(request);
}

}  // namespace gyre
