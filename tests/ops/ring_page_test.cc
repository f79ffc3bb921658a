#include "ops/ring_page.h"

#include <gtest/gtest.h>

#include <vector>

namespace gyre {
namespace {

NodePage Page(const std::string& name, const std::string& text) {
  NodePage page{.id = {}, .name = name, .answered = !text.empty(), .page = text};
  page.id.bytes[0] = static_cast<std::uint8_t>(name.back());
  return page;
}

TEST(RingPageTest, EachNameStandsOnce) {
  const std::vector<NodePage> pages = {
      Page("n1",
           "# HELP a_total As.\n# TYPE a_total counter\na_total 1\n"
           "# HELP b Bs.\n# TYPE b gauge\nb{loop=\"0\"} 2\nb{loop=\"1\"} 3\n"),
      Page("n2",
           "# HELP b Bs, newly said.\n# TYPE b gauge\nb{loop=\"0\"} 4\n"
           "# HELP c Cs.\n# TYPE c gauge\nc{} 5\n"),
      Page("n3", "")};
  EXPECT_EQ(RingPage(pages),
            "# HELP gyre_node_up 1 where the node answered with its metrics, in time.\n"
            "# TYPE gyre_node_up gauge\n"
            "gyre_node_up{node=\"n1\"} 1\n"
            "gyre_node_up{node=\"n2\"} 1\n"
            "gyre_node_up{node=\"n3\"} 0\n"
            "# HELP a_total As.\n# TYPE a_total counter\n"
            "a_total{node=\"n1\"} 1\n"
            "# HELP b Bs.\n# TYPE b gauge\n"
            "b{node=\"n1\",loop=\"0\"} 2\n"
            "b{node=\"n1\",loop=\"1\"} 3\n"
            "b{node=\"n2\",loop=\"0\"} 4\n"
            "# HELP c Cs.\n# TYPE c gauge\n"
            "c{node=\"n2\"} 5\n");
}

TEST(RingPageTest, NodesOfOneNameAreToldApart) {
  std::vector<NodePage> pages = {Page("a", "# HELP x X.\nx 1\n"), Page("a", "# HELP x X.\nx 2\n")};
  pages[1].id.bytes[0] = 0xff;
  const std::string text = RingPage(pages);
  EXPECT_NE(text.find("x{node=\"a#61000000\"} 1\n"), std::string::npos) << text;
  EXPECT_NE(text.find("x{node=\"a#ff000000\"} 2\n"), std::string::npos) << text;
}

TEST(RingPageTest, WhatMakesNoSenseIsLeftOut) {
  const std::vector<NodePage> pages = {Page("n\"1", "x 1\n\n# HELP y Y.\nnonsense\ny 1\ny{cut")};
  const std::string text = RingPage(pages);
  EXPECT_EQ(text.find("x{"), std::string::npos) << "nothing said what it is";
  EXPECT_EQ(text.find("nonsense"), std::string::npos);
  EXPECT_NE(text.find("y{node=\"n\\\"1\"} 1\n"), std::string::npos) << text;
  EXPECT_EQ(text.find("cut"), std::string::npos);
}

}  // namespace
}  // namespace gyre
