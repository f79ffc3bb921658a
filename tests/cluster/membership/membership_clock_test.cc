// Clock offsets, measured by probes in virtual time.
#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <cstdlib>
#include <limits>
#include <map>
#include <string>

#include "cluster/membership_fixture.h"
#include "membership/state_codec.h"

namespace gyre {
namespace {

using std::chrono::microseconds;
using std::chrono::milliseconds;
using std::chrono::minutes;
using std::chrono::seconds;

class MembershipClock : public ::testing::Test {
 protected:
  // Node i's wall clock is ahead by ahead[i].
  std::map<std::uint64_t, microseconds> ahead;
  VirtualCluster cluster{11};

  void Form(std::uint64_t count) {
    for (std::uint64_t number = 0; number < count; ++number) {
      MembershipOptions options;
      options.wall_clock = [this, number] {
        return std::chrono::duration_cast<microseconds>(cluster.now().time_since_epoch()) +
               std::chrono::hours(24 * 365 * 50) + ahead[number];
      };
      cluster.Start(number, TestMember(number), options);
    }
    ASSERT_TRUE(cluster.RunUntil([this] { return cluster.Converged(); }, seconds(10)));
    cluster.Run(seconds(20));
  }
  // How far `viewer` finds the clock of `number` ahead.
  Duration Offset(std::uint64_t viewer, std::uint64_t number) {
    for (const ClockOffset& clock : cluster.at(viewer).stats().clock_offsets) {
      if (clock.id == TestId(number)) return clock.offset;
    }
    ADD_FAILURE() << "not measured";
    return {};
  }
  std::ptrdiff_t Warnings(std::uint64_t number) {
    const auto& logs = cluster.logs(number);
    return std::count_if(logs.begin(), logs.end(), [](const std::string& line) {
      return line.find("clocks differ") != std::string::npos;
    });
  }
};

TEST_F(MembershipClock, MeasuresEachPeerToHalfARoundTrip) {
  ahead[1] = milliseconds(40);
  ahead[2] = -milliseconds(300);
  Form(3);
  // The slowest way of the virtual network takes 1.5 ms.
  const Duration error = milliseconds(2);
  for (std::uint64_t viewer = 0; viewer < 3; ++viewer) {
    for (std::uint64_t number = 0; number < 3; ++number) {
      if (viewer == number) continue;
      const Duration wrong = Offset(viewer, number) - (ahead[number] - ahead[viewer]);
      EXPECT_LE(wrong, error) << viewer << " " << number;
      EXPECT_GE(wrong, -error) << viewer << " " << number;
    }
    EXPECT_EQ(cluster.at(viewer).stats().clock_alarms, 0U);
    EXPECT_EQ(Warnings(viewer), 0);
  }
}

TEST_F(MembershipClock, WarnsOfAClockThatIsFarOffAndOfItsReturn) {
  Form(3);
  ahead[1] = milliseconds(800);
  cluster.Run(seconds(15));
  for (const std::uint64_t viewer : {0, 2}) {
    EXPECT_EQ(cluster.at(viewer).stats().clock_alarms, 1U);
    EXPECT_EQ(Warnings(viewer), 1);
  }
  EXPECT_EQ(cluster.at(1).stats().clock_alarms, 2U) << "of its own clock it knows no better";
  cluster.Run(minutes(10));
  EXPECT_GE(Warnings(0), 9);
  EXPECT_LE(Warnings(0), 11) << "once a minute";
  ahead[1] = milliseconds(0);
  cluster.Run(seconds(15));
  EXPECT_EQ(cluster.at(0).stats().clock_alarms, 0U);
  EXPECT_EQ(cluster.at(1).stats().clock_alarms, 0U);
  EXPECT_LE(std::abs(Offset(0, 1).count()), Duration(milliseconds(2)).count());
}

TEST_F(MembershipClock, ForgetsThoseWhoAreGone) {
  Form(3);
  EXPECT_EQ(cluster.at(0).stats().clock_offsets.size(), 2U);
  cluster.Kill(1);
  cluster.Run(seconds(30));
  EXPECT_EQ(cluster.at(0).stats().clock_offsets.size(), 1U);
}

TEST_F(MembershipClock, SurvivesAnyAnswer) {
  MembershipOptions options;
  options.wall_clock = [] { return microseconds(1'700'000'000'000'000); };
  for (const std::int64_t answer :
       {std::int64_t{-1}, std::int64_t{1}, std::numeric_limits<std::int64_t>::max(),
        std::numeric_limits<std::int64_t>::min()}) {
    Membership machine(options, TestMember(0), 64, 2);
    TimePoint now{seconds(100)};
    wire::GossipMessage message;
    message.set_cluster(ClusterHash("gyre"));
    message.set_protocol_version(1);
    message.set_from(std::string(TestId(1).raw()));
    ToWire({TestMember(1), 1}, *message.add_broadcasts()->mutable_member());
    machine.OnDatagram(now, {"10.0.0.1", 7700}, message.SerializeAsString());
    message.clear_broadcasts();
    bool answered = false;
    for (int i = 0; i < 100 && !answered; ++i) {
      now = std::max(now, machine.next_tick());
      for (const MembershipAction& action : machine.Tick(now)) {
        const auto* datagram = std::get_if<SendDatagram>(&action);
        wire::GossipMessage ping;
        if (datagram == nullptr || !ping.ParseFromString(datagram->bytes) || !ping.has_ping()) {
          continue;
        }
        message.mutable_ack()->set_sequence(ping.ping().sequence());
        message.mutable_ack()->set_unix_us(answer);
        machine.OnDatagram(now, {"10.0.0.1", 7700}, message.SerializeAsString());
        answered = true;
      }
    }
    ASSERT_TRUE(answered);
    EXPECT_LE(machine.stats().clock_offsets.size(), 1U);
  }
}

}  // namespace
}  // namespace gyre
