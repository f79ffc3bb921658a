#include "stream/kept_stream.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <map>
#include <optional>
#include <string>
#include <vector>

namespace gyre {
namespace {

using Outcome = KeptStream::Outcome;
using Which = KeptStream::Which;
using testing::ElementsAre;
using testing::IsEmpty;

constexpr std::size_t kUnlimited = std::size_t{1} << 30;

// What a read told: each group as "term.number:bytes".
struct Told {
  Outcome outcome = Outcome::kEnd;
  std::vector<std::string> groups;
  StreamPosition last;
};

Told ReadFrom(KeptStream& stream, PartitionId partition, StreamPosition after,
              Which which = Which::kAll, std::size_t bytes_max = kUnlimited) {
  Told told;
  told.last = after;
  told.outcome =
      stream.Read(partition, after, bytes_max, which, [&](const KeptStream::Group& group) {
        EXPECT_EQ(group.predecessor, told.last);
        told.last = group.position;
        told.groups.push_back(std::to_string(group.position.term) + "." +
                              std::to_string(group.position.number) + ":" +
                              std::string(group.bytes));
      });
  return told;
}

std::vector<std::string> GroupsFrom(KeptStream& stream, PartitionId partition,
                                    StreamPosition after) {
  const Told told = ReadFrom(stream, partition, after);
  EXPECT_EQ(told.outcome, Outcome::kEnd);
  return told.groups;
}

class KeptStreamTest : public testing::Test {
 protected:
  void Append(PartitionId partition, std::string_view group) {
    stream_.Append(partition, stream_.last(partition).next(), group);
  }
  KeptStream stream_{8, 2, 4096};
};

TEST_F(KeptStreamTest, TellsTheGroupsOfAPartitionInOrder) {
  stream_.Open(0, 5, {});
  stream_.Open(2, 7, {});
  Append(0, "a");
  Append(2, "x");
  Append(0, "b");
  EXPECT_THAT(GroupsFrom(stream_, 0, {}), ElementsAre("5.0:", "5.1:a", "5.2:b"));
  EXPECT_THAT(GroupsFrom(stream_, 0, {5, 1}), ElementsAre("5.2:b"));
  EXPECT_THAT(GroupsFrom(stream_, 0, {5, 2}), IsEmpty());
  EXPECT_THAT(GroupsFrom(stream_, 2, {7, 0}), ElementsAre("7.1:x"));
  EXPECT_EQ(stream_.last(0), (StreamPosition{5, 2}));
}

TEST_F(KeptStreamTest, GoesOnOverTheEndOfATerm) {
  stream_.Open(0, 5, {});
  Append(0, "a");
  Append(0, "b");
  stream_.Open(0, 9, {5, 2});
  Append(0, "c");
  EXPECT_THAT(GroupsFrom(stream_, 0, {5, 1}), ElementsAre("5.2:b", "9.0:", "9.1:c"));
  EXPECT_THAT(GroupsFrom(stream_, 0, {5, 2}), ElementsAre("9.0:", "9.1:c"));
}

TEST_F(KeptStreamTest, WhoHasMoreOfADeadTermThanTheHeirIsToldAGap) {
  stream_.Open(0, 5, {});
  Append(0, "a");
  stream_.Open(0, 9, {5, 1});
  Append(0, "c");
  EXPECT_EQ(ReadFrom(stream_, 0, {5, 2}).outcome, Outcome::kGap);
  EXPECT_FALSE(stream_.Reaches(0, {5, 2}));
  EXPECT_EQ(ReadFrom(stream_, 0, {7, 0}).outcome, Outcome::kGap);
  EXPECT_EQ(ReadFrom(stream_, 0, {9, 2}).outcome, Outcome::kGap);
  EXPECT_EQ(stream_.stats().gaps, 3U);
}

TEST_F(KeptStreamTest, AnOwnerThatGoesOnFromElsewhereKeepsNothingOfBefore) {
  stream_.Open(0, 5, {});
  Append(0, "a");
  stream_.Open(0, 9, {6, 3});
  Append(0, "c");
  EXPECT_EQ(ReadFrom(stream_, 0, {5, 0}).outcome, Outcome::kGap);
  EXPECT_THAT(GroupsFrom(stream_, 0, {6, 3}), ElementsAre("9.0:", "9.1:c"));
}

TEST_F(KeptStreamTest, RestartForgets) {
  stream_.Open(0, 5, {});
  Append(0, "a");
  stream_.Restart(0, {9, 4});
  Append(0, "c");
  EXPECT_EQ(ReadFrom(stream_, 0, {5, 1}).outcome, Outcome::kGap);
  EXPECT_THAT(GroupsFrom(stream_, 0, {9, 4}), ElementsAre("9.5:c"));
}

TEST_F(KeptStreamTest, TheOldestGoFirstAndThatIsAGap) {
  stream_.Open(0, 5, {});
  const std::string group(200, 'g');
  for (int i = 0; i < 100; ++i) Append(0, group);
  EXPECT_EQ(ReadFrom(stream_, 0, {5, 1}).outcome, Outcome::kGap);
  EXPECT_THAT(GroupsFrom(stream_, 0, {5, 99}), ElementsAre("5.100:" + group));
  const KeptStreamStats stats = stream_.stats();
  EXPECT_LE(stats.bytes, stats.bytes_limit);
  EXPECT_GT(stats.bytes, stats.bytes_limit / 2);
  EXPECT_GT(stats.groups_dropped, 80U);
}

TEST_F(KeptStreamTest, AGroupTooLargeToBeKeptIsAGap) {
  stream_.Open(0, 5, {});
  Append(0, "a");
  Append(0, std::string(4000, 'g'));
  EXPECT_EQ(ReadFrom(stream_, 0, {5, 1}).outcome, Outcome::kGap);
  Append(0, "b");
  EXPECT_THAT(GroupsFrom(stream_, 0, {5, 2}), ElementsAre("5.3:b"));
}

TEST_F(KeptStreamTest, KnowsWhereAReaderGoesOnBehindAGap) {
  EXPECT_EQ(stream_.Nearest(0, {9, 9}), StreamPosition{}) << "nothing is kept";
  stream_.Open(0, 5, {});
  Append(0, "a");
  Append(0, "b");
  stream_.Open(0, 9, {5, 2});
  Append(0, "c");
  EXPECT_EQ(stream_.Nearest(0, {5, 7}), (StreamPosition{5, 2})) << "the dead term's end";
  EXPECT_EQ(stream_.Nearest(0, {7, 1}), (StreamPosition{5, 2}));
  EXPECT_EQ(stream_.Nearest(0, {9, 8}), (StreamPosition{9, 1}));
  stream_.Restart(0, {11, 3});
  Append(0, "d");
  EXPECT_EQ(stream_.Nearest(0, {9, 1}), (StreamPosition{11, 3})) << "the oldest that is kept";
}

TEST_F(KeptStreamTest, ReadsAreBounded) {
  stream_.Open(0, 5, {});
  for (int i = 0; i < 10; ++i) Append(0, "0123456789");
  Told told = ReadFrom(stream_, 0, {5, 0}, Which::kAll, 25);
  EXPECT_EQ(told.outcome, Outcome::kMore);
  EXPECT_EQ(told.groups.size(), 3U);
  told = ReadFrom(stream_, 0, told.last, Which::kAll, 1);
  EXPECT_EQ(told.groups.size(), 1U);
  told = ReadFrom(stream_, 0, told.last);
  EXPECT_EQ(told.groups.size(), 6U);
}

TEST_F(KeptStreamTest, ReadersOfWhatIsSettledSeeNoMore) {
  stream_.Open(0, 5, {});
  Append(0, "a");
  Append(0, "b");
  EXPECT_THAT(ReadFrom(stream_, 0, {}, Which::kSettled).groups, IsEmpty());
  stream_.Settle(0, {5, 1});
  EXPECT_THAT(ReadFrom(stream_, 0, {}, Which::kSettled).groups, ElementsAre("5.0:", "5.1:a"));
  stream_.Settle(0, {5, 0});  // late: it is settled up to 1 already
  EXPECT_EQ(stream_.settled(0), (StreamPosition{5, 1}));
  stream_.Open(0, 9, {5, 2});
  EXPECT_EQ(stream_.settled(0), (StreamPosition{5, 1}));
  stream_.Settle(0, {5, 2});  // of an older term
  EXPECT_EQ(stream_.settled(0), (StreamPosition{5, 1}));
  stream_.Settle(0, {9, 0});
  EXPECT_THAT(ReadFrom(stream_, 0, {5, 1}, Which::kSettled).groups, ElementsAre("5.2:b", "9.0:"));
}

// A slow reader of a long backlog, which goes on growing: each group is looked at twice, not once for each page.
TEST(KeptStreamCostTest, ReadingOnFromWhereOneWasNeedsNoSearch) {
  constexpr int kGroups = 1000;
  KeptStream stream(2, 1, std::size_t{1} << 20);
  for (const PartitionId partition : {0, 1}) stream.Open(partition, 5, {});
  const auto append = [&] {
    for (const PartitionId partition : {0, 1}) {
      stream.Append(partition, stream.last(partition).next(), "0123456789");
    }
  };
  for (int i = 0; i < kGroups; ++i) append();
  StreamPosition at{5, 0};
  KeptStream::Offset place = 0;
  int read = 0;
  for (Outcome outcome = Outcome::kMore; outcome == Outcome::kMore; append()) {
    outcome = stream.Read(0, at, place, 100, Which::kAll, [&](const KeptStream::Group& group) {
      EXPECT_EQ(group.position, at.next());
      at = group.position;
      ++read;
    });
  }
  EXPECT_GT(read, kGroups);
  EXPECT_LT(stream.stats().steps, 2.5 * read);
}

TEST_F(KeptStreamTest, AReadersPlaceIsForgottenWithItsChain) {
  stream_.Open(0, 5, {});
  Append(0, "a");
  KeptStream::Offset place = 0;
  const auto nothing = [](const KeptStream::Group&) {};
  EXPECT_EQ(stream_.Read(0, {5, 0}, place, kUnlimited, Which::kAll, nothing), Outcome::kEnd);
  stream_.Restart(0, {5, 1});  // the same position, of another chain
  Append(0, "b");
  std::string read;
  EXPECT_EQ(stream_.Read(0, {5, 1}, place, kUnlimited, Which::kAll,
                         [&](const KeptStream::Group& group) { read += group.bytes; }),
            Outcome::kEnd);
  EXPECT_EQ(read, "b");
}

// Random appends, terms, restarts and reads of several partitions, against a list that keeps all.
RC_GTEST_PROP(KeptStreamProperty, TellsAllOfItOrAGap, ()) {
  struct Kept {
    StreamPosition position;
    std::string bytes;
  };
  struct Model {
    StreamPosition floor;
    std::vector<Kept> groups;
    KeptStream::Offset place = 0;  // of the reader who was here last, wherever that was
    StreamPosition last() const { return groups.empty() ? floor : groups.back().position; }
  };
  const auto capacity = *rc::gen::inRange<std::size_t>(160, 2000);
  KeptStream stream(4, 1, capacity);
  std::map<PartitionId, Model> models;
  std::uint64_t newest_term = 0;
  const auto steps = *rc::gen::inRange(1, 300);
  for (int step = 0; step < steps; ++step) {
    const auto partition = *rc::gen::inRange<PartitionId>(0, 4);
    Model& model = models[partition];
    const int what = *rc::gen::inRange(0, 12);
    if (what == 0 || !model.last().is_known()) {
      const StreamPosition base =
          *rc::gen::inRange(0, 3) == 0 ? StreamPosition{newest_term, 77} : model.last();
      if (base != model.last()) model = {base, {}, model.place};
      stream.Open(partition, ++newest_term, base);
      model.groups.push_back({{newest_term, 0}, ""});
    } else if (what == 1) {
      const StreamPosition at{++newest_term, *rc::gen::inRange<std::uint64_t>(0, 9)};
      stream.Restart(partition, at);
      model = {at, {}, model.place};
    } else {
      const std::string bytes(*rc::gen::inRange<std::size_t>(0, 120), static_cast<char>(step));
      stream.Append(partition, model.last().next(), bytes);
      model.groups.push_back({model.last().next(), bytes});
    }
    RC_ASSERT(stream.last(partition) == model.last());
    RC_ASSERT(stream.stats().bytes <= stream.stats().bytes_limit);
    // Any position that was once: all behind it, or a gap.
    const auto from = *rc::gen::inRange<std::size_t>(0, model.groups.size() + 1);
    StreamPosition at = from == 0 ? model.floor : model.groups[from - 1].position;
    const auto bytes_max = *rc::gen::inRange<std::size_t>(0, 300);
    for (std::size_t next = from; next < model.groups.size();) {
      bool same = true;
      const auto outcome =
          stream.Read(partition, at, model.place, bytes_max, Which::kAll, [&](const auto& group) {
            same = same && next < model.groups.size() &&
                   group.position == model.groups[next].position &&
                   group.bytes == model.groups[next].bytes && group.predecessor == at;
            at = group.position;
            ++next;
          });
      RC_ASSERT(same);
      if (outcome == Outcome::kGap) {
        RC_ASSERT(next == from);
        break;
      }
      RC_ASSERT((outcome == Outcome::kEnd) == (next == model.groups.size()));
    }
    // The newest is kept wherever it can be.
    RC_ASSERT(stream.Reaches(partition, model.last()));
    RC_ASSERT(!stream.Reaches(partition, model.last().next()));
  }
}

}  // namespace
}  // namespace gyre
