#include "client/shell/printer.h"

#include <gtest/gtest.h>

#include <sstream>

#include "client/shell/status_view.h"
#include "client/shell/table.h"

namespace gyre::client {
namespace {

using Kind = Value::Kind;

Value Bulk(const std::string& text) { return {.kind = Kind::kBulk, .text = text}; }
Value Integer(std::int64_t integer) { return {.kind = Kind::kInteger, .integer = integer}; }

std::string Printed(const Value& value) {
  std::ostringstream out;
  PrintValue(value, out);
  return out.str();
}

TEST(PrintValueTest, Scalars) {
  EXPECT_EQ(Printed({}), "(nil)\n");
  EXPECT_EQ(Printed({.kind = Kind::kWord, .text = "OK"}), "OK\n");
  EXPECT_EQ(Printed(Bulk("a\n")), "\"a\\n\"\n");
  EXPECT_EQ(Printed(Integer(-3)), "(integer) -3\n");
  EXPECT_EQ(Printed({.kind = Kind::kUnsigned, .unsigned_integer = ~0ULL}),
            "(integer) 18446744073709551615\n");
  EXPECT_EQ(Printed({.kind = Kind::kNumber, .number = 2.5}), "(double) 2.5\n");
  EXPECT_EQ(Printed({.kind = Kind::kBoolean, .boolean = true}), "(true)\n");
  EXPECT_EQ(Printed({.kind = Kind::kError, .error = ErrorCode::kTooLarge, .text = "x"}),
            "(error) too_large: x\n");
}

TEST(PrintValueTest, ListsAreNumberedAndNest) {
  const Value inner{.kind = Kind::kArray, .elements = {Bulk("x"), {}}};
  EXPECT_EQ(Printed({.kind = Kind::kArray, .elements = {Integer(1), inner}}),
            "1) (integer) 1\n2) 1) \"x\"\n   2) (nil)\n");
  EXPECT_EQ(Printed({.kind = Kind::kArray}), "(empty list)\n");
  EXPECT_EQ(Printed({.kind = Kind::kMap, .elements = {Bulk("slot"), Integer(7)}}),
            "1) \"slot\": (integer) 7\n");
}

TEST(ToJsonTest, Table) {
  EXPECT_EQ(ToJson(Value{}).dump(), "null");
  EXPECT_EQ(ToJson(Bulk("\u00e9")).dump(), "\"\u00e9\"");
  EXPECT_EQ(ToJson(Bulk("\xff")).dump(), R"({"base64":"/w=="})");
  EXPECT_EQ(ToJson({.kind = Kind::kMap, .elements = {Bulk("a"), Integer(1), Bulk("b"), {}}}).dump(),
            R"({"a":1,"b":null})");
  EXPECT_EQ(ToJson(Error{ErrorCode::kTimeout, "late"}).dump(),
            R"({"error":{"code":"timeout","message":"late"}})");
  Json object = Json::object();
  AddBytes(object, "value", "\xff");
  EXPECT_EQ(object.dump(), R"({"value_base64":"/w=="})");
}

std::string Status(const char* json) {
  std::ostringstream out;
  PrintStatus(Json::parse(json), out);
  return out.str();
}

TEST(StatusViewTest, ScalarsAndTables) {
  EXPECT_EQ(Status(R"({"cluster":"demo","memory_limit_bytes":1048576,"hit_ratio":0.5,"ok":true,
                       "nodes":[{"name":"n1","items":12,"memory_bytes":2048,"id":"x"},
                                {"name":"n2","state":"dead"}]})"),
            "cluster: demo\nmemory limit: 1.0 MiB\nhit ratio: 50.0%\nok: yes\n\n"
            "name  items   memory  state\n"
            "n1       12  2.0 KiB  -\n"
            "n2        -        -  dead\n");
}

TEST(StatusViewTest, TablesOfNodesAreNarrow) {
  EXPECT_EQ(Status(R"({"members":[{"id":"x","name":"n1","zone":"","host":"::1","port":7700,
                                   "resp_port":6379,"incarnation":123456}]})"),
            "\nname  zone  address\nn1    -     ::1:7700\n");
}

TEST(StatusViewTest, NothingThatANodeSendsMakesItFail) {
  for (const char* json :
       {"{}", "[]", "null", "7", R"("text")", R"({"nodes":[]})", R"({"nodes":[1,2]})",
        R"({"nodes":{"a":{"b":{"c":{"d":{"e":{"f":1}}}}}}})", R"({"nodes":[{"a":[1]}]})",
        R"({"x_bytes":"many","y_ratio":null})", R"({"nodes":[{"host":1,"port":"x"}]})",
        R"({"nodes":[{"host":"h","port":[]}]})"}) {
    EXPECT_NO_THROW(Status(json)) << json;
  }
}

TEST(TextTableTest, NumbersToTheRight) {
  TextTable table({"name", "n"});
  table.AddRow({"a", "5"});
  table.AddRow({"bcdef", "100"});
  std::ostringstream out;
  table.Print(out);
  EXPECT_EQ(out.str(), "name     n\na        5\nbcdef  100\n");
}

}  // namespace
}  // namespace gyre::client
