#include "net/proxy_header.h"

#include <gmock/gmock.h>

#include <string>

namespace gyre {
namespace {

using testing::HasSubstr;
using namespace std::string_literals;

const std::string kBegin = "\r\n\r\n\0\r\nQUIT\n"s;

std::string Binary(const std::string& kind, const std::string& addresses) {
  const std::size_t size = addresses.size();
  return kBegin + kind + static_cast<char>(size >> 8) + static_cast<char>(size & 0xff) + addresses;
}

// The address, "-" for none, "..." for more to come, or what is wrong.
std::string Said(const std::string& input) {
  const auto parsed = ParseProxyHeader(input);
  if (!parsed) return parsed.error().message;
  if (!*parsed) return "...";
  return (*parsed)->client ? (*parsed)->client->ToString() : "-";
}

const std::string kTcp4 = Binary("\x21\x11", "\xc0\x00\x02\x01\xc0\x00\x02\x02\xdc\x04\x01\xbb"s);
const std::string kTcp6 = Binary("\x21\x21", "\x20\x01\x0d\xb8"s + std::string(11, '\0') + "\x01"s +
                                                 std::string(16, '\xff') + "\x1f\x90\x00\x50"s);
const std::string kText4 = "PROXY TCP4 192.0.2.1 192.0.2.2 56324 443\r\n";
const std::string kText6 = "PROXY TCP6 2001:db8::1 ::1 8080 80\r\n";

TEST(ProxyHeaderTest, SaysWhoConnectedToTheProxy) {
  EXPECT_EQ(Said(kTcp4), "192.0.2.1:56324");
  EXPECT_EQ(Said(kTcp6), "[2001:db8::1]:8080");
  EXPECT_EQ(Said(kText4), "192.0.2.1:56324");
  EXPECT_EQ(Said(kText6), "[2001:db8::1]:8080");
}

TEST(ProxyHeaderTest, MayComeInAnyPiecesAndEndsWhereItEnds) {
  const std::string more_told = Binary(
      "\x21\x11", "\xc0\x00\x02\x01\xc0\x00\x02\x02\xdc\x04\x01\xbb\x03\x00\x04\x01\x02\x03\x04"s);
  for (const std::string& header : {kTcp4, kTcp6, kText4, kText6, more_told}) {
    for (std::size_t bytes = 0; bytes < header.size(); ++bytes) {
      ASSERT_EQ(Said(header.substr(0, bytes)), "...") << bytes;
    }
    const auto parsed = ParseProxyHeader(header + "PING\r\n");
    ASSERT_TRUE(parsed && *parsed);
    EXPECT_EQ((*parsed)->bytes, header.size());
    EXPECT_TRUE((*parsed)->client);
  }
}

TEST(ProxyHeaderTest, AProxyMaySpeakForItselfOrNotKnow) {
  EXPECT_EQ(Said(Binary("\x20\x00"s, "")), "-") << "a health check";
  EXPECT_EQ(Said(Binary("\x20\x11", "\xc0\x00\x02\x01\xc0\x00\x02\x02\xdc\x04\x01\xbb"s)), "-");
  EXPECT_EQ(Said(Binary("\x21\x00"s, "")), "-");
  EXPECT_EQ(Said(Binary("\x21\x31", std::string(216, 'u'))), "-") << "a UNIX socket";
  EXPECT_EQ(Said("PROXY UNKNOWN\r\n"), "-");
  EXPECT_EQ(Said("PROXY UNKNOWN ffff::1 ffff::2 1 2\r\n"), "-");
}

TEST(ProxyHeaderTest, WhatIsNoHeaderIsRefused) {
  for (const std::string& input : {
           "PING\r\n"s,
           "*1\r\n$4\r\nPING\r\n"s,
           "\r\n\r\nGET"s,
           "PROXY TCP4 192.0.2.1 192.0.2.2 56324\r\n"s,
           "PROXY TCP4 192.0.2.1 192.0.2.2 56324 443 5\r\n"s,
           "PROXY TCP4 192.0.2.1 192.0.2.2 99999 443\r\n"s,
           "PROXY TCP4 192.0.2.1 192.0.2.2 -1 443\r\n"s,
           "PROXY TCP4 2001:db8::1 ::1 8080 80\r\n"s,
           "PROXY TCP6 192.0.2.1 192.0.2.2 56324 443\r\n"s,
           "PROXY TCP4 host.example 192.0.2.2 56324 443\r\n"s,
           "PROXY UDP4 192.0.2.1 192.0.2.2 56324 443\r\n"s,
           "PROXY \r\n"s,
           "PROXY TCP4 "s + std::string(200, '1'),
           Binary("\x11\x11", std::string(12, 'a')),
           Binary("\x2f\x11", std::string(12, 'a')),
           Binary("\x21\x11", std::string(11, 'a')),
           Binary("\x21\x21", std::string(35, 'a')),
           Binary("\x21\x11", std::string(5000, 'a')),
       }) {
    EXPECT_THAT(Said(input), HasSubstr("not a PROXY header")) << input;
  }
}

}  // namespace
}  // namespace gyre
