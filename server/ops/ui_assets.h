// The dashboard: what /ui serves. The files of ops/ui stand in the binary; how a ring looks comes
// from /ui/ring.json, which the node makes.
#pragma once

#include <span>
#include <string_view>

#include "ops/admin_http.h"

namespace gyre {

struct UiAsset {
  std::string_view path;  // of the request
  std::string_view content_type;
  std::string_view etag;  // in its quotes
  std::string_view body;
};

// Generated from ops/ui by embed.cmake.
std::span<const UiAsset> UiAssets();

// All that a browser is allowed to do with a page of the node: load its own files and ask the node
// itself, be in no frame, and make no markup of text.
inline constexpr std::string_view kUiContentSecurityPolicy =
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src data:; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'; "
    "require-trusted-types-for 'script'; trusted-types 'none'";

// Puts the dashboard's routes on `http`. `ring_json` answers /ui/ring.json.
void RouteUi(AdminHttp& http, AdminHttp::LateHandler ring_json);

}  // namespace gyre
