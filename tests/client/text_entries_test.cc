#include "client/shell/text_entries.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <sstream>

#include "client/shell/server_stream.h"
#include "client/shell/words.h"

namespace gyre::client {
namespace {

using testing::HasSubstr;

struct Text {
  std::vector<Entry> entries;
  std::string error;
  TransferCounts counts;
};

Text ReadText(TextFormat format, const std::string& text, bool skip_bad = false) {
  std::istringstream in(text);
  Text read;
  const auto reader = TextReader::Make(format, in, text.size(), skip_bad, read.counts);
  while (true) {
    const Result<bool> more = reader->Read(read.entries);
    if (!more) read.error = more.error().message;
    if (!more || !*more) return read;
  }
}

std::string WriteText(TextFormat format, const std::vector<Entry>& entries) {
  std::ostringstream out;
  TransferCounts counts;
  const auto writer = TextWriter::Make(
      format, {out, "memory", [] { return std::optional<Error>(); }, [] {}}, counts);
  EXPECT_FALSE(writer->Write(entries));
  EXPECT_FALSE(writer->Finish());
  EXPECT_EQ(counts.keys, entries.size());
  return out.str();
}

class TextFormats : public testing::TestWithParam<TextFormat> {};
INSTANTIATE_TEST_SUITE_P(Both, TextFormats,
                         testing::Values(TextFormat::kJsonLines, TextFormat::kCsv));

TEST_P(TextFormats, HostileBytesComeBack) {
  std::vector<Entry> entries;
  for (const std::string& bytes :
       {std::string(), std::string("\n"), std::string("\r\n"), std::string("\""),
        std::string("a,b"), std::string("\"\"\n,\""), std::string("\0", 1), std::string("\xff"),
        std::string("\xef\xbb\xbf"), std::string("\xc3\xa4\xe2\x82\xac"), std::string("\\n"),
        std::string("base64"), std::string(" "), std::string("\r")}) {
    entries.push_back({"key " + bytes, bytes, 0, 0});
    entries.push_back({bytes, "value", 7, 0});
  }
  const Text read = ReadText(GetParam(), WriteText(GetParam(), entries));
  EXPECT_EQ(read.error, "");
  EXPECT_EQ(read.entries, entries);
}

TEST_P(TextFormats, AnyRecordsComeBack) {
  EXPECT_TRUE(rc::check([this] {
    const auto bytes = rc::gen::container<std::string>(rc::gen::weightedOneOf<char>(
        {{3, rc::gen::arbitrary<char>()}, {1, rc::gen::element('"', ',', '\n', '\r', '\0')}}));
    std::vector<Entry> entries;
    const auto count = *rc::gen::inRange(0, 8);
    for (int i = 0; i < count; ++i) {
      entries.push_back({*bytes, *bytes, *rc::gen::arbitrary<std::uint32_t>(), 0});
    }
    const Text read = ReadText(GetParam(), WriteText(GetParam(), entries));
    RC_ASSERT(read.error == "");
    RC_ASSERT(read.entries == entries);
  }));
}

TEST_P(TextFormats, AnExpiryIsTheTimeThatIsLeft) {
  const std::int64_t expiry = UnixNow() + 3'600'000;
  const Text read = ReadText(GetParam(), WriteText(GetParam(), {{"k", "v", 0, expiry}}));
  ASSERT_EQ(read.entries.size(), 1U);
  EXPECT_NEAR(static_cast<double>(read.entries[0].expiry_ms), static_cast<double>(expiry), 60'000);
  EXPECT_GE(read.entries[0].expiry_ms, expiry);
}

TEST_P(TextFormats, NothingIsNoRecord) {
  const Text read = ReadText(GetParam(), WriteText(GetParam(), {}));
  EXPECT_EQ(read.error, "");
  EXPECT_TRUE(read.entries.empty());
}

// ---- What is refused --------------------------------------------------------------------------

struct BadText {
  TextFormat format;
  std::string text;
  const char* message;
};

class BadTexts : public testing::TestWithParam<BadText> {};

TEST_P(BadTexts, SaysWhichLineAndWhy) {
  EXPECT_THAT(ReadText(GetParam().format, GetParam().text).error, HasSubstr(GetParam().message));
}

constexpr auto kJson = TextFormat::kJsonLines;
constexpr auto kCsv = TextFormat::kCsv;

INSTANTIATE_TEST_SUITE_P(
    Json, BadTexts,
    testing::Values(
        BadText{kJson, "{\"key\":\"a\",\"value\":\"b\"}\n\nnot json\n", "line 3 is no JSON"},
        BadText{kJson, "[1]", "line 1 is no JSON object"},
        BadText{kJson, "{\"key\":\"a\"}", "lacks a key or a value"},
        BadText{kJson, "{\"key\":1,\"value\":\"b\"}", "\"key\" of the wrong type"},
        BadText{kJson, "{\"key\":\"a\",\"value\":\"b\",\"ttl\":5}", "has \"ttl\": known are"},
        BadText{kJson, "{\"key\":\"a\",\"value\":\"b\",\"ttl_ms\":0}", "ttl_ms is from 1"},
        BadText{kJson, "{\"key\":\"a\",\"value\":\"b\",\"ttl_ms\":1.5}", "wrong type"},
        BadText{kJson, "{\"key\":\"a\",\"value\":\"b\",\"ttl_ms\":18446744073709551615}",
                "ttl_ms is from 1"},
        BadText{kJson, "{\"key\":\"a\",\"value\":\"b\",\"flags\":-1}", "wrong type"},
        BadText{kJson, "{\"key\":\"a\",\"value\":\"b\",\"flags\":4294967296}", "32 bits"},
        BadText{kJson, "{\"key\":\"a\",\"value\":\"b\",\"encoding\":\"hex\"}", "\"hex\""},
        BadText{kJson, "{\"key\":\"YQ==\",\"value\":\"b\",\"encoding\":\"base64\"}",
                "\"b\" is no base64"},
        BadText{kJson, "{\"key\":\"\xff\",\"value\":\"b\"}", "base64"},
        BadText{kJson, "{\"key\":\"" + std::string(70'000, 'k') + "\",\"value\":\"b\"}",
                "65536 is the most"}));

INSTANTIATE_TEST_SUITE_P(
    Csv, BadTexts,
    testing::Values(BadText{kCsv, "", "there is no header"},
                    BadText{kCsv, "a,b\r\n", "\"a\": once each it may name"},
                    BadText{kCsv, "key,key\n", "\"key\": once each it may name"},
                    BadText{kCsv, "key,ttl_ms\n", "lacks key or value"},
                    BadText{kCsv, "key,value\na,b,c\n", "line 2 has 3 fields, the header 2"},
                    BadText{kCsv, "key,value\n\"a\nb\",c\nd\n", "line 4 has 1 fields"},
                    BadText{kCsv, "key,value\na,b\"c\n", "line 2 has a quote"},
                    BadText{kCsv, "key,value\n\"a\"b,c\n", "text behind a closing quote"},
                    BadText{kCsv, "key,value\n\"a,b\n", "line 2 ends within quotes"},
                    BadText{kCsv, "key,value,ttl_ms\na,b,soon\n", "ttl_ms that is no number"},
                    BadText{kCsv, "key,value,flags\na,b,-1\n", "flags that are no number"}));

TEST(TextReader, BadLinesCanBeLeftOut) {
  const Text read = ReadText(kJson,
                             "{\"key\":\"a\",\"value\":\"1\"}\nnonsense\n"
                             "{\"key\":\"b\",\"value\":\"2\"}\n{\"key\":\"c\"}\n",
                             /*skip_bad=*/true);
  EXPECT_EQ(read.error, "");
  EXPECT_EQ(read.entries, (std::vector<Entry>{{"a", "1", 0, 0}, {"b", "2", 0, 0}}));
  EXPECT_EQ(read.counts.bad_lines, 2U);
  EXPECT_THAT(read.counts.first_error, HasSubstr("line 2"));
  EXPECT_FALSE(read.counts.complete());

  const Text csv = ReadText(kCsv, "key,value\na,b\"\nc,d\ne\n\"f\"x,\nh,i", /*skip_bad=*/true);
  EXPECT_EQ(csv.entries, (std::vector<Entry>{{"c", "d", 0, 0}, {"h", "i", 0, 0}}));
  EXPECT_EQ(csv.counts.bad_lines, 3U);
}

TEST(TextReader, CsvTakesColumnsInAnyOrderAndPlainLineEnds) {
  const Text read = ReadText(kCsv, "\xef\xbb\xbfvalue,flags,key\n\n1,5,\"a\"\r\n2,,b");
  EXPECT_EQ(read.error, "");
  EXPECT_EQ(read.entries, (std::vector<Entry>{{"a", "1", 5, 0}, {"b", "2", 0, 0}}));
}

// ---- Base64 -----------------------------------------------------------------------------------

RC_GTEST_PROP(Base64Text, AnyBytesComeBack, (const std::string& bytes)) {
  RC_ASSERT(DecodeBase64(Base64(bytes)) == bytes);
}

TEST(Base64Text, WhatIsNoneIsRefused) {
  for (const char* text :
       {"a", "ab", "abc", "ab=c", "a===", "====", "ab\n=", "YR==", "YWI!", "=AAA"}) {
    EXPECT_FALSE(DecodeBase64(text)) << text;
  }
  EXPECT_EQ(DecodeBase64(""), "");
  EXPECT_EQ(DecodeBase64("YWI="), "ab");
}

// ---- URLs -------------------------------------------------------------------------------------

TEST(ServerUrl, PartsAreTakenApart) {
  const auto url = ParseServerUrl("redis://us%40er:p%3Aw@[::1]:7000/3", 6379, 11211);
  ASSERT_TRUE(url);
  ASSERT_TRUE(*url) << url->error().message;
  EXPECT_EQ((*url)->user, "us@er");
  EXPECT_EQ((*url)->password, "p:w");
  EXPECT_EQ((*url)->host, "::1");
  EXPECT_EQ((*url)->port, 7000);
  EXPECT_EQ((*url)->path, "3");
  EXPECT_EQ((*url)->address(), "[::1]:7000");
  const auto plain = ParseServerUrl("memcached://cache", 6379, 11211);
  ASSERT_TRUE(plain && *plain);
  EXPECT_EQ((*plain)->port, 11211);
  EXPECT_FALSE(ParseServerUrl("file.json", 6379, 11211));
}

TEST(ServerUrl, WhatMakesNoSenseIsRefused) {
  for (const char* text :
       {"http://a", "redis://", "redis://:1", "redis://a:0", "redis://a:70000", "redis://a:b",
        "redis://a/x", "redis://[::1", "redis://u:%zz@a", "memcached://a/1", "memcached://u:p@a"}) {
    const auto url = ParseServerUrl(text, 6379, 11211);
    ASSERT_TRUE(url) << text;
    EXPECT_FALSE(*url) << text;
    EXPECT_THAT(url->error().message, testing::Not(HasSubstr("%zz"))) << "a password is not shown";
  }
}

}  // namespace
}  // namespace gyre::client
