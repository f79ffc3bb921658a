#include "client/routing_table.h"

#include <gtest/gtest.h>

#include "proto_gen/cluster.pb.h"

namespace gyre::client {
namespace {

constexpr std::uint16_t kNone = 0xffff;

// A ring of four partitions: a vocabulary to write and to break one.
class RingBuilder {
 public:
  RingBuilder() {
    view_.set_digest(7);
    view_.set_partition_count(4);
    view_.set_replicas(2);
  }
  RingBuilder& Node(const std::string& name, int port, wire::MemberState state = wire::ALIVE) {
    wire::Member* member = view_.add_members();
    member->set_id(std::string(16 - name.size(), '.') + name);
    member->set_name(name);
    member->set_host("127.0.0.1");
    member->set_port(static_cast<std::uint32_t>(port));
    member->set_zone("z");
    member->set_weight(3);
    member->set_state(state);
    return *this;
  }
  // Owner and two more columns.
  RingBuilder& Row(std::uint16_t owner, std::uint16_t second, std::uint16_t third = kNone) {
    for (const std::uint16_t index : {owner, second, third}) {
      view_.mutable_holders()->push_back(static_cast<char>(index & 0xff));
      view_.mutable_holders()->push_back(static_cast<char>(index >> 8));
    }
    return *this;
  }
  wire::RingView& view() { return view_; }
  Result<RoutingTable> Parse() const { return RoutingTable::Parse(view_.SerializeAsString()); }

 private:
  wire::RingView view_;
};

RingBuilder ThreeNodes() {
  RingBuilder ring;
  ring.Node("a", 1).Node("b", 2).Node("c", 3);
  ring.Row(0, 1).Row(1, 2, 0).Row(2, 2).Row(kNone, 1);
  return ring;
}

using Order = std::vector<NodeIndex>;

TEST(RoutingTableTest, KnowsOwnersAndHolders) {
  const Result<RoutingTable> table = ThreeNodes().Parse();
  ASSERT_TRUE(table) << table.error().message;
  EXPECT_EQ(table->digest(), 7u);
  EXPECT_EQ(table->Owner(1), 1);
  EXPECT_EQ(table->Owner(3), kNoNode);
  EXPECT_EQ(table->Holders(1), (Order{1, 2, 0}));
  EXPECT_EQ(table->Holders(2), (Order{2})) << "each holder once";
  EXPECT_EQ(table->Holders(3), (Order{1})) << "without an owner, whoever holds it";
}

TEST(RoutingTableTest, SlotsFallIntoPartitionsInRuns) {
  const RoutingTable table = *ThreeNodes().Parse();
  EXPECT_EQ(table.PartitionOfSlot(0), 0u);
  EXPECT_EQ(table.PartitionOfSlot(4095), 0u);
  EXPECT_EQ(table.PartitionOfSlot(4096), 1u);
  EXPECT_EQ(table.PartitionOfSlot(16383), 3u);
}

TEST(RoutingTableTest, CandidatesAreOwnerHoldersTheRest) {
  const RoutingTable table = *ThreeNodes().Parse();
  EXPECT_EQ(table.Candidates(0, 0), (Order{0, 1, 2}));
  EXPECT_EQ(table.Candidates(4096, 0), (Order{1, 2, 0}));
  EXPECT_EQ(table.Candidates(8192, 0), (Order{2, 0, 1}));
  EXPECT_EQ(table.Candidates(8192, 1), (Order{2, 1, 0})) << "the rest begins at the rotation";
}

TEST(RoutingTableTest, TheDeadAreAskedLast) {
  RingBuilder ring;
  ring.Node("a", 1, wire::DEAD).Node("b", 2, wire::SUSPECT).Node("c", 3);
  ring.Row(0, 1).Row(1, 2).Row(2, 0).Row(0, kNone);
  const RoutingTable table = *ring.Parse();
  EXPECT_EQ(table.Candidates(0, 0), (Order{1, 2, 0}));
  EXPECT_EQ(table.Candidates(8192, 0), (Order{2, 1, 0}));
  EXPECT_EQ(table.AnyOrder(0), (Order{1, 2, 0}));
  EXPECT_EQ(table.AnyOrder(2), (Order{2, 1, 0}));
}

TEST(RoutingTableTest, AnEmptyTableHasNobodyToAsk) {
  const RoutingTable table;
  EXPECT_EQ(table.Owner(0), kNoNode);
  EXPECT_TRUE(table.Candidates(5, 3).empty());
  EXPECT_TRUE(table.AnyOrder(3).empty());
  EXPECT_TRUE(table.Describe().nodes.empty());
}

TEST(RoutingTableTest, DescribesItself) {
  const RingInfo info = ThreeNodes().Parse()->Describe();
  EXPECT_EQ(info.partition_count, 4u);
  EXPECT_EQ(info.replicas, 2u);
  ASSERT_EQ(info.nodes.size(), 3u);
  EXPECT_EQ(info.nodes[1].name, "b");
  EXPECT_EQ(info.nodes[1].address, "127.0.0.1:2");
  EXPECT_EQ(info.nodes[1].state, "alive");
  EXPECT_EQ(info.nodes[1].weight, 3u);
  EXPECT_EQ(info.nodes[1].partitions_owned, 1u);
  EXPECT_EQ(info.nodes[1].partitions_held, 3u);
  EXPECT_EQ(info.nodes[0].id.size(), 36u);
}

struct Breakage {
  const char* name;
  void (*break_it)(wire::RingView&);
};

class BrokenRingTest : public ::testing::TestWithParam<Breakage> {};

TEST_P(BrokenRingTest, IsRefused) {
  RingBuilder ring = ThreeNodes();
  ASSERT_TRUE(ring.Parse());
  GetParam().break_it(ring.view());
  const Result<RoutingTable> table = ring.Parse();
  ASSERT_FALSE(table);
  EXPECT_EQ(table.error().code, ErrorCode::kProtocol);
}

INSTANTIATE_TEST_SUITE_P(
    Table, BrokenRingTest,
    ::testing::Values(
        Breakage{"NoMembers", [](wire::RingView& ring) { ring.clear_members(); }},
        Breakage{"NoPartitions", [](wire::RingView& ring) { ring.set_partition_count(0); }},
        Breakage{"OddPartitions", [](wire::RingView& ring) { ring.set_partition_count(3); }},
        Breakage{"TooManyPartitions",
                 [](wire::RingView& ring) { ring.set_partition_count(32768); }},
        Breakage{"NoReplicas", [](wire::RingView& ring) { ring.set_replicas(0); }},
        Breakage{"TooManyReplicas", [](wire::RingView& ring) { ring.set_replicas(8); }},
        Breakage{"ShortHolders", [](wire::RingView& ring) { ring.mutable_holders()->pop_back(); }},
        Breakage{"LongHolders", [](wire::RingView& ring) { ring.mutable_holders()->append("xy"); }},
        Breakage{"ForeignHolder",
                 [](wire::RingView& ring) { (*ring.mutable_holders())[0] = '\x03'; }},
        Breakage{"ShortId", [](wire::RingView& ring) { ring.mutable_members(1)->set_id("x"); }},
        Breakage{"NoHost", [](wire::RingView& ring) { ring.mutable_members(1)->clear_host(); }},
        Breakage{
            "LongHost",
            [](wire::RingView& ring) { ring.mutable_members(1)->set_host(std::string(256, 'h')); }},
        Breakage{
            "LongName",
            [](wire::RingView& ring) { ring.mutable_members(1)->set_name(std::string(256, 'n')); }},
        Breakage{"NoPort", [](wire::RingView& ring) { ring.mutable_members(1)->clear_port(); }},
        Breakage{"HugePort",
                 [](wire::RingView& ring) { ring.mutable_members(1)->set_port(65536); }},
        Breakage{
            "UnknownState",
            [](wire::RingView&
                   ring) { ring.mutable_members(1)->set_state(static_cast<wire::MemberState>(9)); }}),
    [](const auto& info) { return std::string(info.param.name); });

TEST(BrokenRingTest, CutOffAnywhereItIsRefusedOrWhole) {
  const std::string whole = ThreeNodes().view().SerializeAsString();
  for (std::size_t bytes = 0; bytes < whole.size(); ++bytes) {
    EXPECT_FALSE(RoutingTable::Parse(std::string_view(whole).substr(0, bytes))) << bytes;
  }
}

TEST(BrokenRingTest, AnyByteChangedNeverCrashes) {
  const std::string whole = ThreeNodes().view().SerializeAsString();
  for (std::size_t at = 0; at < whole.size(); ++at) {
    for (const int change : {1, 2, 4, 8, 0x80, 0xff}) {
      std::string bytes = whole;
      bytes[at] = static_cast<char>(bytes[at] ^ change);
      const Result<RoutingTable> table = RoutingTable::Parse(bytes);
      if (!table) continue;
      for (PartitionId partition = 0; partition < table->partition_count(); ++partition) {
        EXPECT_LE(table->Holders(partition).size(), table->nodes().size());
      }
    }
  }
}

}  // namespace
}  // namespace gyre::client
