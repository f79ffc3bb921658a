#include "stream/stream_readers.h"

#include <gtest/gtest.h>

#include <atomic>
#include <set>
#include <thread>
#include <vector>

namespace gyre {
namespace {

std::set<PartitionId> Taken(StreamReaders::Reader& reader) {
  std::set<PartitionId> taken;
  reader.Take([&](PartitionId partition) { EXPECT_TRUE(taken.insert(partition).second); });
  return taken;
}
using Partitions = std::set<PartitionId>;

TEST(StreamReadersTest, TellsEachReaderWhatItWatches) {
  StreamReaders readers(200);
  const auto first = readers.Join();
  const auto second = readers.Join();
  int woken = 0;
  first->OnNews([&] { ++woken; });
  for (const PartitionId partition : {3, 70, 199}) first->Watch(partition);
  second->Watch(70);
  readers.Settled(3);
  readers.Settled(70);
  readers.Settled(70);
  readers.Settled(4);
  EXPECT_EQ(woken, 1) << "once until it looks";
  EXPECT_EQ(Taken(*first), (Partitions{3, 70}));
  EXPECT_EQ(Taken(*second), Partitions{70});
  EXPECT_EQ(Taken(*first), Partitions{});
  readers.Settled(199);
  EXPECT_EQ(woken, 2);
  EXPECT_EQ(Taken(*first), Partitions{199});
  first->Unwatch(199);
  readers.Settled(199);
  EXPECT_EQ(woken, 2);
  EXPECT_EQ(Taken(*first), Partitions{});
}

TEST(StreamReadersTest, AReaderThatLeftIsNotTold) {
  StreamReaders readers(8);
  int woken = 0;
  {
    const auto reader = readers.Join();
    reader->OnNews([&] { ++woken; });
    reader->Watch(1);
    EXPECT_TRUE(readers.Reads(1));
    EXPECT_EQ(readers.count(), 1U);
  }
  EXPECT_FALSE(readers.Reads(1));
  EXPECT_EQ(readers.count(), 0U);
  readers.Settled(1);
  EXPECT_EQ(woken, 0);
}

TEST(StreamReadersTest, HasSoManyPlaces) {
  StreamReaders readers(8);
  std::vector<std::unique_ptr<StreamReaders::Reader>> all;
  for (std::size_t i = 0; i < StreamReaders::kReadersMax; ++i) all.push_back(readers.Join());
  EXPECT_EQ(readers.Join(), nullptr);
  for (const auto& reader : all) reader->Watch(5);
  readers.Settled(5);
  for (const auto& reader : all) EXPECT_EQ(Taken(*reader), Partitions{5});
  all.erase(all.begin() + 20);
  EXPECT_NE(readers.Join(), nullptr);
}

// Writers on other threads: what was settled before the last wake-up is never lost.
TEST(StreamReadersTest, NothingIsLostBetweenThreads) {
  constexpr int kRounds = 20'000;
  StreamReaders readers(64);
  std::vector<std::atomic<int>> settled(64);
  std::atomic<bool> awake{false};
  const auto reader = readers.Join();
  reader->OnNews([&] { awake = true; });
  for (PartitionId partition = 0; partition < 64; ++partition) reader->Watch(partition);
  std::vector<std::thread> writers;
  for (int writer = 0; writer < 2; ++writer) {
    writers.emplace_back([&, writer] {
      for (int i = 0; i < kRounds; ++i) {
        const auto partition = static_cast<PartitionId>((i * 2 + writer) % 64);
        ++settled[partition];
        readers.Settled(partition);
      }
    });
  }
  std::vector<int> seen(64);
  int total = 0;
  while (total < 2 * kRounds) {
    if (!awake.exchange(false)) {
      std::this_thread::yield();
      continue;
    }
    reader->Take([&](PartitionId partition) {
      const int now = settled[partition];
      total += now - seen[partition];
      seen[partition] = now;
    });
  }
  for (std::thread& writer : writers) writer.join();
  EXPECT_EQ(total, 2 * kRounds);
}

// Readers come and go while there are writers.
TEST(StreamReadersTest, ComeAndGoBesideWriters) {
  StreamReaders readers(8);
  std::atomic<bool> done{false};
  std::thread writer([&] {
    while (!done) readers.Settled(3);
  });
  std::atomic<int> woken{0};
  for (int i = 0; i < 500; ++i) {
    const auto reader = readers.Join();
    reader->OnNews([&] { ++woken; });
    reader->Watch(3);
    while (Taken(*reader).empty()) std::this_thread::yield();
  }
  done = true;
  writer.join();
  EXPECT_GT(woken, 0);
}

}  // namespace
}  // namespace gyre
