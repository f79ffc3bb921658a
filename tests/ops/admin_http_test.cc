#include "ops/admin_http.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "net/server_fixture.h"
#include "ops/http_codec.h"

namespace gyre {
namespace {

// ---- The codec alone ---------------------------------------------------------------------------

// What a codec makes of `bytes` when they come in pieces of `step`: one line a request, then how it
// ended.
std::string Decode(const std::string& bytes, std::size_t step, const HttpLimits& limits = {}) {
  HttpCodec codec(limits);
  Request request;
  std::string story;
  std::size_t begin = 0;
  for (std::size_t end = std::min(step, bytes.size());; end = std::min(end + step, bytes.size())) {
    while (begin < end) {
      // A copy of exact size, so that a view that reaches too far is found.
      const std::string input = bytes.substr(begin, end - begin);
      const Decoded decoded = codec.Decode(input, request);
      if (decoded.status == Decoded::Status::kNeedMore) break;
      if (decoded.status == Decoded::Status::kMalformed) {
        Buffer out;
        ReplyWriter* writer = codec.WriterFor(request, out);
        writer->Fail(decoded.error);
        codec.Recycle(writer);
        return story + std::string(out.view().substr(0, 12));
      }
      for (const std::string_view arg : request.args) story += std::string(arg) + '|';
      story += std::string(request.payload) + '\n';
      begin += decoded.consumed;
    }
    if (end == bytes.size()) return story + (begin == end ? "done" : "more");
  }
}

struct HttpCase {
  std::string bytes;
  std::string story;
};

const std::vector<HttpCase>& Cases() {
  static const std::vector<HttpCase> cases = {
      {"GET / HTTP/1.1\r\nHost: a\r\n\r\n", "GET|/||keep-alive|\ndone"},
      {"HEAD /metrics?a=b&c HTTP/1.1\r\n\r\n", "HEAD|/metrics|a=b&c|keep-alive|\ndone"},
      {"GET / HTTP/1.1\r\nHost: a\r\nif-NONE-match: \"x\", \"y\"\r\nA:\r\n\r\n",
       "GET|/||keep-alive|\"x\", \"y\"|\ndone"},
      {"GET / HTTP/1.1\r\nIf-None-Match:\r\nIf-None-Matches: x\r\nIf: y\r\n\r\n",
       "GET|/||keep-alive|\ndone"},
      {"GET /a HTTP/1.1\r\nIf-None-Match: *\r\n\r\nGET /b HTTP/1.1\r\n\r\n",
       "GET|/a||keep-alive|*|\nGET|/b||keep-alive|\ndone"},
      {"GET /health HTTP/1.0\r\n\r\n", "GET|/health||close|\ndone"},
      {"GET / HTTP/1.1\r\nConnection: close\r\n\r\n", "GET|/||close|\ndone"},
      {"POST /x HTTP/1.1\r\nContent-Length: 3\r\n\r\nabcGET /y HTTP/1.1\r\n\r\n",
       "POST|/x||keep-alive|abc\nGET|/y||keep-alive|\ndone"},
      {"POST /x HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n"
       "GET / HTTP/1.1\r\n\r\n",
       "POST|/x||keep-alive|abcde\nGET|/||keep-alive|\ndone"},
      {"GET / HTTP/1.1\r\nHost", "more"},
      {"POST / HTTP/1.1\r\nContent-Length: 5\r\n\r\nabc", "more"},
      {"GARBAGE\r\n\r\n", "HTTP/1.1 400"},
      {"*1\r\n$4\r\nPING\r\n", "HTTP/1.1 400"},
      {"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "HTTP/1.1 400"},
      {"GET / HTTP/1.1\r\nContent-Length: -1\r\n\r\n", "HTTP/1.1 400"},
      {"GET / HTTP/1.1\r\nContent-Length: 99999999999999999999\r\n\r\n", "HTTP/1.1 400"},
      {"GET / HTTP/1.1\r\nContent-Length: 65537\r\n\r\n", "HTTP/1.1 413"},
      {"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n20000\r\n" + std::string(0x20000, 'x'),
       "HTTP/1.1 413"},
      {"GET /" + std::string(20'000, 'a') + " HTTP/1.1\r\n\r\n", "HTTP/1.1 431"},
      {"GET / HTTP/1.1\r\nA: " + std::string(100'000, 'a') + "\r\n\r\n", "HTTP/1.1 431"},
      {"GET /ok HTTP/1.1\r\n\r\nGET /" + std::string(20'000, 'a'),
       "GET|/ok||keep-alive|\nHTTP/1.1 431"},
  };
  return cases;
}

TEST(HttpCodecTest, GivesTheSameHoweverTheBytesAreSplit) {
  for (const HttpCase& c : Cases()) {
    const std::string name = c.bytes.substr(0, 60);
    EXPECT_EQ(Decode(c.bytes, c.bytes.size()), c.story) << name;
    for (std::size_t step = 1; step < std::min<std::size_t>(c.bytes.size(), 70); ++step) {
      if (c.bytes.size() > 1000 && step > 1 && step < 60) continue;  // the long ones: a few sizes
      ASSERT_EQ(Decode(c.bytes, step), c.story) << name << " in pieces of " << step;
    }
  }
}

TEST(HttpCodecTest, AHeaderOfJustTheLimitPasses) {
  HttpLimits limits;
  limits.header_bytes_max = 100;
  const std::string frame = "GET / HTTP/1.1\r\nA: \r\n\r\n";
  const std::string fits =
      "GET / HTTP/1.1\r\nA: " + std::string(100 - frame.size(), 'a') + "\r\n\r\n";
  ASSERT_EQ(fits.size(), 100U);
  EXPECT_EQ(Decode(fits, 1000, limits), "GET|/||keep-alive|\ndone");
  EXPECT_EQ(Decode(fits, 1, limits), "GET|/||keep-alive|\ndone");
}

// ---- Over a socket -----------------------------------------------------------------------------

class AdminHttpTest : public ::testing::Test {
 protected:
  AdminHttpTest() {
    admin_.Route("/health", [](const HttpRequest&) { return HttpResponse::Text(200, "ok\n"); });
    admin_.Route("/busy", [](const HttpRequest&) { return HttpResponse::Text(503, "not yet\n"); });
    admin_.Route("/echo", [](const HttpRequest& request) {
      return HttpResponse::Json(200, "{\"query\":\"" + std::string(request.query) + "\"}");
    });
    admin_.RouteLate("/late", [this](const HttpRequest& request, auto done) {
      late_.push_back([done, query = std::string(request.query)] {
        done(HttpResponse::Text(200, "late " + query + '\n'));
      });
    });
    server_.OnLoop([this] {
      const Status status = server_.server->Listen(
          {.protocol = Protocol::kHttp, .codec = MakeHttpCodecFactory({}), .handler = &admin_});
      ASSERT_TRUE(status) << status.error().message;
      port_ = server_.server->bound_port();
    });
  }

  // Sends `request` and reads until the server closes.
  std::string Exchange(const std::string& request) {
    test::Client client(port_);
    client.Send(request);
    client.FinishSending();
    return client.ReadAll();
  }

  AdminHttp admin_;
  std::vector<std::function<void()>> late_;  // on the loop
  test::ServerThread server_;
  std::uint16_t port_ = 0;
};

TEST_F(AdminHttpTest, Answers) {
  EXPECT_EQ(Exchange("GET /health HTTP/1.1\r\nHost: x\r\n\r\n"),
            "HTTP/1.1 200 OK\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: 3\r\n"
            "Cache-Control: no-store\r\nConnection: keep-alive\r\n\r\nok\n");
}

TEST_F(AdminHttpTest, AnswersAPipelineOnOneConnection) {
  test::Client client(port_);
  client.Send(
      "GET /health HTTP/1.1\r\n\r\nGET /echo?a=1 HTTP/1.1\r\n\r\n"
      "GET /health HTTP/1.1\r\nConnection: close\r\n\r\nGET /never HTTP/1.1\r\n\r\n");
  const std::string all = client.ReadAll();
  EXPECT_NE(all.find("{\"query\":\"a=1\"}HTTP/1.1 200 OK"), std::string::npos) << all;
  EXPECT_TRUE(all.ends_with("Connection: close\r\n\r\nok\n")) << all;
  EXPECT_EQ(all.find("404"), std::string::npos);
}

TEST_F(AdminHttpTest, AnAnswerMayComeLaterAndKeepsItsPlace) {
  test::Client client(port_);
  client.Send(
      "GET /late?a HTTP/1.1\r\n\r\nHEAD /late?b HTTP/1.1\r\n\r\n"
      "GET /health HTTP/1.1\r\nConnection: close\r\n\r\n");
  server_.Eventually([this] {
    bool asked = false;
    server_.OnLoop([&] { asked = late_.size() == 2; });
    return asked;
  });
  server_.OnLoop([this] {
    for (std::size_t i = late_.size(); i-- > 0;) late_[i]();
    late_.clear();
  });
  const std::string all = client.ReadAll();
  EXPECT_NE(all.find("\r\n\r\nlate a\nHTTP/1.1 200 OK"), std::string::npos) << all;
  EXPECT_EQ(all.find("late b"), std::string::npos) << "a HEAD has no body: " << all;
  EXPECT_TRUE(all.ends_with("ok\n")) << all;
}

TEST(HasParameterTest, OfAQuery) {
  EXPECT_TRUE(HasParameter("ring=1", "ring=1"));
  EXPECT_TRUE(HasParameter("a=b&ring=1&c", "ring=1"));
  for (const char* query : {"", "ring=10", "ring", "string=1", "&", "ring=1x&=1"}) {
    EXPECT_FALSE(HasParameter(query, "ring=1")) << query;
  }
}

TEST_F(AdminHttpTest, HeadHasTheLengthButNoBody) {
  const std::string reply = Exchange("HEAD /health HTTP/1.1\r\n\r\n");
  EXPECT_NE(reply.find("Content-Length: 3\r\n"), std::string::npos);
  EXPECT_TRUE(reply.ends_with("\r\n\r\n"));
}

TEST_F(AdminHttpTest, SaysWhatIsNotThere) {
  const std::string missing = Exchange("GET /nothing HTTP/1.1\r\n\r\n");
  EXPECT_EQ(missing.substr(0, 22), "HTTP/1.1 404 Not Found");
  EXPECT_TRUE(missing.ends_with("no such page; there are: /busy /echo /health /late\n")) << missing;
  const std::string refused = Exchange("DELETE /health HTTP/1.1\r\n\r\n");
  EXPECT_EQ(refused.substr(0, 31), "HTTP/1.1 405 Method Not Allowed");
  EXPECT_NE(refused.find("Allow: GET, HEAD\r\n"), std::string::npos);
  EXPECT_EQ(Exchange("GET /busy HTTP/1.1\r\n\r\n").substr(0, 12), "HTTP/1.1 503");
}

TEST_F(AdminHttpTest, RefusesWhatIsNotHttp) {
  const std::string reply = Exchange("\x16\x03\x01 hello");
  EXPECT_EQ(reply.substr(0, 12), "HTTP/1.1 400");
  EXPECT_NE(reply.find("Connection: close"), std::string::npos);
}

}  // namespace
}  // namespace gyre
