#include <string>
#include <utility>

#include "ops/ui_assets.h"

namespace gyre {
namespace {

HttpResponse Guarded(HttpResponse response) {
  response.headers = {{"Content-Security-Policy", std::string(kUiContentSecurityPolicy)},
                      {"X-Content-Type-Options", "nosniff"},
                      {"Referrer-Policy", "no-referrer"},
                      {"Cross-Origin-Resource-Policy", "same-origin"}};
  return response;
}

HttpResponse ResponseOf(const UiAsset& asset) {
  HttpResponse response{.status = 200,
                        .content_type = std::string(asset.content_type),
                        .body = std::string(asset.body)};
  response.etag = asset.etag;
  // Kept, but asked for each time: after an upgrade nobody sees the old page with new answers.
  response.cache_control = "no-cache";
  return Guarded(std::move(response));
}

}  // namespace

void RouteUi(AdminHttp& http, AdminHttp::LateHandler ring_json) {
  for (const UiAsset& asset : UiAssets()) {
    http.Route(std::string(asset.path), [&asset](const HttpRequest&) { return ResponseOf(asset); });
  }
  // What people type; relative, because a proxy may have put the node behind a path of its own.
  http.Route("/ui/", [](const HttpRequest&) {
    HttpResponse response = Guarded(HttpResponse::Text(308, "it is at /ui\n"));
    response.headers.push_back({"Location", "../ui"});
    return response;
  });
  http.RouteLate("/ui/ring.json",
                 [ring_json = std::move(ring_json)](const HttpRequest& request, auto done) {
                   ring_json(request, [done = std::move(done)](const HttpResponse& response) {
                     done(Guarded(response));
                   });
                 });
}

}  // namespace gyre
