#include "stream/arrival.h"

#include <gtest/gtest.h>

namespace gyre {
namespace {

TEST(Arrival, WhatACompleteCopyDoesWithAGroup) {
  struct Case {
    const char* what;
    StreamPosition last;
    StreamPosition position;
    StreamPosition base;
    Arrival arrival;
  };
  constexpr Case kCases[] = {
      {"the next", {5, 3}, {5, 4}, {}, Arrival::kNext},
      {"the first after a pull from an owner that had written nothing",
       {5, 0},
       {5, 1},
       {4, 9},
       Arrival::kNext},
      {"again", {5, 3}, {5, 3}, {}, Arrival::kDuplicate},
      {"an older one again", {5, 3}, {5, 1}, {4, 9}, Arrival::kDuplicate},
      {"one is missing", {5, 3}, {5, 5}, {}, Arrival::kEarly},
      {"of an owner that was replaced", {5, 3}, {4, 9}, {}, Arrival::kStale},
      {"a new owner goes on", {5, 3}, {8, 1}, {5, 3}, Arrival::kNext},
      {"the opening of a term", {5, 3}, {8, 0}, {5, 3}, Arrival::kNext},
      {"the opening again", {8, 0}, {8, 0}, {5, 3}, Arrival::kDuplicate},
      {"the first, for who has the opening", {5, 3}, {8, 1}, {8, 0}, Arrival::kBehind},
      {"a new owner's second before its first", {5, 3}, {8, 2}, {}, Arrival::kEarly},
      {"a new owner knew more", {5, 3}, {8, 1}, {5, 4}, Arrival::kBehind},
      {"a new owner knew a term that the copy does not", {5, 3}, {8, 1}, {6, 1}, Arrival::kBehind},
      {"a new owner knew less", {5, 3}, {8, 1}, {5, 2}, Arrival::kDiverged},
      {"a new owner knew nothing of the term", {5, 3}, {8, 1}, {4, 9}, Arrival::kDiverged},
      {"both know of no order", {}, {8, 1}, {}, Arrival::kNext},
      {"the copy knows of no order", {}, {8, 1}, {5, 2}, Arrival::kBehind},
  };
  for (const Case& each : kCases) {
    EXPECT_EQ(Judge(each.last, each.position, each.base, false), each.arrival) << each.what;
    EXPECT_EQ(Judge(each.last, each.position, each.base, true), Arrival::kMerge) << each.what;
  }
}

}  // namespace
}  // namespace gyre
