// What /ui serves, and how: over a socket, with all headers.
#include <gmock/gmock.h>

#include <string>

#include "net/server_fixture.h"
#include "ops/admin_http.h"
#include "ops/ui_assets.h"

namespace gyre {
namespace {

using testing::HasSubstr;
using testing::Not;
using testing::StartsWith;

class UiTest : public ::testing::Test {
 protected:
  UiTest() {
    RouteUi(admin_, [](const HttpRequest& request, const auto& done) {
      done(HttpResponse::Json(200, "{\"query\":\"" + std::string(request.query) + "\"}"));
    });
    server_.OnLoop([this] {
      const Status status = server_.server->Listen(
          {.protocol = Protocol::kHttp, .codec = MakeHttpCodecFactory({}), .handler = &admin_});
      ASSERT_TRUE(status) << status.error().message;
      port_ = server_.server->bound_port();
    });
  }

  std::string Ask(const std::string& line, const std::string& headers = "") {
    test::Client client(port_);
    client.Send(line + " HTTP/1.1\r\n" + headers + "Connection: close\r\n\r\n");
    return client.ReadAll();
  }
  static std::string HeadOf(const std::string& response) {
    return response.substr(0, response.find("\r\n\r\n") + 2);
  }
  static std::string BodyOf(const std::string& response) {
    return response.substr(response.find("\r\n\r\n") + 4);
  }

  AdminHttp admin_;
  test::ServerThread server_;
  std::uint16_t port_ = 0;
};

TEST_F(UiTest, EachFileIsServedGuarded) {
  ASSERT_EQ(UiAssets().size(), 3U);
  for (const UiAsset& asset : UiAssets()) {
    const std::string response = Ask("GET " + std::string(asset.path));
    const std::string head = HeadOf(response);
    EXPECT_THAT(head, StartsWith("HTTP/1.1 200 OK\r\n")) << asset.path;
    EXPECT_THAT(head, HasSubstr("Content-Type: " + std::string(asset.content_type) + "\r\n"));
    EXPECT_THAT(head, HasSubstr("ETag: " + std::string(asset.etag) + "\r\n"));
    EXPECT_THAT(head, HasSubstr("Cache-Control: no-cache\r\n"));
    EXPECT_THAT(head, HasSubstr("X-Content-Type-Options: nosniff\r\n"));
    EXPECT_THAT(head, HasSubstr("Content-Security-Policy: default-src 'none'; script-src 'self';"));
    EXPECT_EQ(BodyOf(response), asset.body);
  }
}

TEST_F(UiTest, HeadSaysTheSameWithoutTheBody) {
  for (const UiAsset& asset : UiAssets()) {
    const std::string path(asset.path);
    EXPECT_EQ(Ask("HEAD " + path), HeadOf(Ask("GET " + path)) + "\r\n");
  }
}

TEST_F(UiTest, WhoHasItIsNotSentItAgain) {
  for (const UiAsset& asset : UiAssets()) {
    const std::string path(asset.path);
    const std::string etag(asset.etag);
    for (const std::string& known : {etag, "W/" + etag, "\"other\", " + etag, std::string("*")}) {
      const std::string response = Ask("GET " + path, "If-None-Match: " + known + "\r\n");
      EXPECT_THAT(response, StartsWith("HTTP/1.1 304 Not Modified\r\n")) << known;
      EXPECT_THAT(response, HasSubstr("ETag: " + etag + "\r\n"));
      EXPECT_THAT(response, HasSubstr("Content-Security-Policy: "));
      EXPECT_THAT(response, Not(HasSubstr("Content-Length")));
      EXPECT_EQ(BodyOf(response), "");
    }
    EXPECT_THAT(Ask("GET " + path, "If-None-Match: \"other\"\r\n"),
                StartsWith("HTTP/1.1 200 OK\r\n"));
  }
}

TEST_F(UiTest, ItIsForReadingOnly) {
  for (const char* path : {"/ui", "/ui/app.js", "/ui/ring.json"}) {
    for (const char* method : {"POST", "PUT", "DELETE", "OPTIONS"}) {
      const std::string response = Ask(method + std::string(" ") + path);
      EXPECT_THAT(response, StartsWith("HTTP/1.1 405 ")) << method;
      EXPECT_THAT(response, HasSubstr("Allow: GET, HEAD\r\n"));
    }
  }
}

TEST_F(UiTest, WhatIsNotThereIsNotFound) {
  for (const char* path : {"/ui/none.js", "/ui/../ui", "/ui/embed.cmake", "/UI", "/ui/app.js/"}) {
    EXPECT_THAT(Ask(std::string("GET ") + path), StartsWith("HTTP/1.1 404 ")) << path;
  }
  EXPECT_THAT(Ask("GET /ui/"),
              AllOf(StartsWith("HTTP/1.1 308 "), HasSubstr("Location: ../ui\r\n")));
}

TEST_F(UiTest, TheRingIsNeverKept) {
  const std::string response = Ask("GET /ui/ring.json?history=1");
  EXPECT_THAT(response, StartsWith("HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"));
  EXPECT_THAT(response, HasSubstr("Cache-Control: no-store\r\n"));
  EXPECT_THAT(response, HasSubstr("X-Content-Type-Options: nosniff\r\n"));
  EXPECT_THAT(response, Not(HasSubstr("ETag")));
  EXPECT_EQ(BodyOf(response), "{\"query\":\"history=1\"}");
}

// The policy would stop them in the browser; then the page would be broken.
TEST(UiAssetsTest, NothingInThemIsForbiddenByTheirOwnPolicy) {
  for (const UiAsset& asset : UiAssets()) {
    EXPECT_GT(asset.body.size(), 1000U) << asset.path;
    for (const char* word : {"innerHTML", "outerHTML", "insertAdjacentHTML", "document.write",
                             "eval(", "<style", " style=", " onclick=", "@import", "https://"}) {
      EXPECT_THAT(std::string(asset.body), Not(HasSubstr(word))) << asset.path;
    }
  }
}

}  // namespace
}  // namespace gyre
