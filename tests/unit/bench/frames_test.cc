// SPDX-License-Identifier: BSD-3-Clause
#include "bench/generator/frames.h"

#include "bench/generator/station.h"
#include "dataplane/wire/checksum.h"

#include <set>
#include <tuple>

#include <gtest/gtest.h>

namespace weft::bench {
namespace {

using namespace wire;

const Endpoints kEnds{mac_of(0, 0), mac_of(1, 0), Ipv4Address(198, 18, 0, 1), Ipv4Address(198, 18, 1, 1)};

const Ipv4Header& ip_of(const std::vector<uint8_t>& frame) {
  return *reinterpret_cast<const Ipv4Header*>(frame.data() + sizeof(EthernetHeader));
}
const UdpHeader& udp_of(const std::vector<uint8_t>& frame) {
  return *reinterpret_cast<const UdpHeader*>(frame.data() + sizeof(EthernetHeader) + sizeof(Ipv4Header));
}
/// A header with a right checksum sums up to nothing.
bool has_right_checksum(const Ipv4Header& ip) { return checksum(&ip, sizeof ip) == 0; }

TEST(Frames, UdpHasItsSizesAndAChecksum) {
  for (const unsigned size : {64u, 65u, 512u, 1518u, 9018u}) {
    const auto frame = make_udp_frame(kEnds, size);
    EXPECT_EQ(frame.size(), size - 4);
    EXPECT_TRUE(has_right_checksum(ip_of(frame)));
    EXPECT_EQ(ip_of(frame).total_length.host(), size - 4 - 14);
    EXPECT_EQ(udp_of(frame).length.host(), size - 4 - 34);
    EXPECT_TRUE(is_traffic(frame.data()));
  }
  EXPECT_THROW((void)make_udp_frame(kEnds, 63), std::invalid_argument);
  EXPECT_THROW((void)make_udp_frame(kEnds, 9019), std::invalid_argument);
}

TEST(Frames, ASegmentsChecksumIsThatOfThePseudoHeader) {
  auto frame = make_tcp_frame(kEnds, 32768);
  const auto header = segmentation_header(1448);
  EXPECT_TRUE(has_right_checksum(ip_of(frame)));
  ASSERT_EQ(header.csum_start, 34);
  // Finished as a receiver or switch would, the whole sums up to nothing.
  const auto start = frame.data() + header.csum_start;
  const size_t size = frame.size() - header.csum_start;
  const uint16_t finished = checksum(start, size);
  std::memcpy(start + header.csum_offset, &finished, 2);
  std::vector<uint8_t> whole(12);
  std::memcpy(whole.data(), &kEnds.source, 4);
  std::memcpy(whole.data() + 4, &kEnds.destination, 4);
  whole[9] = ipproto::kTcp;
  const be16 length(static_cast<uint16_t>(size));
  std::memcpy(whole.data() + 10, &length, 2);
  whole.insert(whole.end(), start, start + size);
  EXPECT_EQ(checksum(whole.data(), whole.size()), 0);
}

TEST(Frames, APatchMakesAnotherFlowAndLeavesTheChecksumRight) {
  std::set<std::tuple<uint32_t, uint16_t, uint64_t>> seen;
  const uint32_t flows[] = {0, 1, 59'999, 60'000, 600'001, kMostFlows - 1};
  for (const uint32_t flow : flows) {
    auto frame = make_udp_frame(kEnds, 64);
    const Patch patch = patch_of(flow, 1000);
    apply_flow(patch, PatchBase(kEnds), frame.data());
    apply_macs(patch, frame.data());
    EXPECT_TRUE(has_right_checksum(ip_of(frame))) << flow;
    EXPECT_EQ(ip_of(frame).destination, kEnds.destination);
    const auto& ethernet = *reinterpret_cast<const EthernetHeader*>(frame.data());
    EXPECT_EQ(ethernet.source, mac_of(0, flow % 1000));
    EXPECT_EQ(ethernet.destination, mac_of(1, flow % 1000));
    seen.emplace(ip_of(frame).source.host(), udp_of(frame).source_port.host(), ethernet.source.to_u64());
  }
  EXPECT_EQ(seen.size(), std::size(flows));
}

TEST(Frames, FlowZeroIsTheFrameItself) {
  auto frame = make_udp_frame(kEnds, 64);
  const auto before = frame;
  apply_flow(patch_of(0, 1), PatchBase(kEnds), frame.data());
  apply_macs(patch_of(0, 1), frame.data());
  EXPECT_EQ(frame, before);
}

TEST(Frames, SessionsDifferAndKeepTheChecksum) {
  std::set<std::pair<uint32_t, uint16_t>> seen;
  for (const uint64_t number :
       {uint64_t{0}, uint64_t{1}, uint64_t{59'999}, uint64_t{60'000}, uint64_t{1'000'000'000}}) {
    auto frame = make_udp_frame(kEnds, 64);
    apply_flow(session_patch(number), PatchBase(kEnds), frame.data());
    EXPECT_TRUE(has_right_checksum(ip_of(frame))) << number;
    EXPECT_EQ(ip_of(frame).source, kEnds.source);
    seen.emplace(ip_of(frame).destination.host(), udp_of(frame).source_port.host());
  }
  EXPECT_EQ(seen.size(), 5u);
}

TEST(Frames, TurnedRoundAFrameGoesBack) {
  auto frame = make_udp_frame(kEnds, 64);
  const uint16_t port = udp_of(frame).source_port.host();
  turn_round(frame.data());
  EXPECT_TRUE(has_right_checksum(ip_of(frame)));
  EXPECT_EQ(ip_of(frame).source, kEnds.destination);
  EXPECT_EQ(ip_of(frame).destination, kEnds.source);
  EXPECT_EQ(udp_of(frame).destination_port.host(), port);
  EXPECT_EQ(reinterpret_cast<const EthernetHeader*>(frame.data())->destination, kEnds.source_mac);
}

TEST(Arp, ARequestIsAnswered) {
  const Ipv4Address asker(192, 0, 2, 1), wanted(192, 0, 2, 2);
  const auto request = make_arp_request(mac_of(0, 0), asker, wanted);
  const auto reply = make_arp_reply(request, mac_of(1, 7));
  ASSERT_TRUE(reply);
  EXPECT_EQ(read_arp_reply(*reply, wanted), mac_of(1, 7));
  EXPECT_EQ(read_arp_reply(*reply, asker), std::nullopt);
  EXPECT_FALSE(make_arp_reply(*reply, mac_of(1, 7))) << "a reply is not answered";
  EXPECT_FALSE(make_arp_reply(make_arp_request(mac_of(0, 0), asker, asker), mac_of(1, 7))) << "nor an announcement";
  EXPECT_FALSE(is_traffic(request.data()));
  EXPECT_FALSE(make_arp_reply(std::span(request).first(30), mac_of(1, 7)));
}

TEST(Scattered, MeetsEveryFlowOnce) {
  for (const uint32_t n : {1u, 2u, 3u, 257u, 1000u, 60'001u}) {
    const auto order = scattered(n);
    EXPECT_EQ(std::set<uint32_t>(order.begin(), order.end()).size(), n);
    for (const uint32_t flow : order) ASSERT_LT(flow, n);
  }
}

}  // namespace
}  // namespace weft::bench
