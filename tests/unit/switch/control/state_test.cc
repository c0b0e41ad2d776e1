// SPDX-License-Identifier: BSD-3-Clause
#include "switch/state.h"

#include "tests/unit/switch/control/temporary_folder.h"

#include <optional>
#include <regex>
#include <set>

#include <gtest/gtest.h>

namespace weft::vswitch {
namespace {

using Json = nlohmann::json;
using TapPlaces = std::set<State::TapPlace>;

class StateTest : public testing::Test {
 protected:
  void SetUp() override { open(); }
  void open() { store_.emplace(std::move(dhcp::LeaseStore::open(folder_.file("weft.db")).value().store)); }
  /// What a weftd that starts now would find.
  State restart() {
    store_.reset();
    open();
    return State(*store_);
  }
  void put(const char* key, const std::string& text) { ASSERT_TRUE(store_->put(key, text)); }

  test::TemporaryFolder folder_;
  std::optional<dhcp::LeaseStore> store_;
};

// ---- identities ----------------------------------------------------------------------------------------------------

TEST_F(StateTest, ANewUuidIsOfVersion4) {
  const std::regex version4("[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}");
  State state(*store_);
  for (int i = 0; i < 20; ++i) {
    const std::string uuid = state.network_uuid("network" + std::to_string(i));
    EXPECT_TRUE(std::regex_match(uuid, version4)) << uuid;
  }
}

TEST_F(StateTest, ANetworksUuidIsMadeOnce) {
  State state(*store_);
  const std::string uuid = state.network_uuid("default");
  EXPECT_EQ(state.network_uuid("default"), uuid);
}

TEST_F(StateTest, ANetworksUuidOutlivesARestart) {
  const std::string uuid = State(*store_).network_uuid("default");
  EXPECT_EQ(restart().network_uuid("default"), uuid);
}

TEST_F(StateTest, NetworksHaveUuidsOfTheirOwn) {
  State state(*store_);
  EXPECT_NE(state.network_uuid("red"), state.network_uuid("blue"));
}

TEST_F(StateTest, ANewMacIsUnicastOfQemusBlock) {
  State state(*store_);
  for (int i = 0; i < 20; ++i) EXPECT_EQ(state.mac("network/" + std::to_string(i)).to_u64() >> 24, uint64_t{0x525400});
}

TEST_F(StateTest, AMacIsMadeOnce) {
  State state(*store_);
  const auto mac = state.mac("uplink/wan");
  EXPECT_EQ(state.mac("uplink/wan"), mac);
}

TEST_F(StateTest, AMacOutlivesARestart) {
  const auto mac = State(*store_).mac("uplink/wan");
  EXPECT_EQ(restart().mac("uplink/wan"), mac);
}

TEST_F(StateTest, OwnersOfTheSameNameHaveMacsOfTheirOwn) {
  State state(*store_);
  EXPECT_NE(state.mac("uplink/wan"), state.mac("network/wan"));
}

TEST_F(StateTest, ANewIdentityLeavesTheOthersAsTheyAre) {
  State state(*store_);
  const std::string uuid = state.network_uuid("red");
  const auto mac = state.mac("network/red");
  state.network_uuid("blue");
  state.mac("network/blue");
  State later = restart();
  EXPECT_EQ(later.network_uuid("red"), uuid);
  EXPECT_EQ(later.mac("network/red"), mac);
}

// ---- taps ----------------------------------------------------------------------------------------------------------

TEST_F(StateTest, ATapIsNewOnce) {
  State state(*store_);
  EXPECT_TRUE(state.add_tap({"", "tap0"}));
  EXPECT_FALSE(state.add_tap({"", "tap0"}));
}

TEST_F(StateTest, ATapIsKnownAfterARestart) {
  State(*store_).add_tap({"guests", "tap0"});
  EXPECT_EQ(restart().taps(), (TapPlaces{{"guests", "tap0"}}));
}

TEST_F(StateTest, TapsOfOneNameInTwoNamespacesAreTwo) {
  State state(*store_);
  state.add_tap({"", "tap0"});
  EXPECT_TRUE(state.add_tap({"guests", "tap0"}));
}

TEST_F(StateTest, ARemovedTapIsForgotten) {
  State state(*store_);
  state.add_tap({"", "tap0"});
  state.add_tap({"guests", "tap0"});
  state.remove_tap({"", "tap0"});
  EXPECT_EQ(restart().taps(), (TapPlaces{{"guests", "tap0"}}));
}

TEST_F(StateTest, RemovingATapNobodyKnowsChangesNothing) {
  State state(*store_);
  state.add_tap({"", "tap0"});
  state.remove_tap({"", "tap1"});
  EXPECT_EQ(restart().taps(), (TapPlaces{{"", "tap0"}}));
}

// ---- ports ---------------------------------------------------------------------------------------------------------

const Json kPort = {{"name", "p1"}, {"network", "default"}, {"tap", {{"name", "tap1"}}}};

TEST_F(StateTest, APortIsKeptAsItWasGiven) {
  State(*store_).add_port("p1", kPort);
  EXPECT_EQ(restart().runtime_ports(), (Json{{"p1", kPort}}));
}

TEST_F(StateTest, ARemovedPortIsForgotten) {
  State state(*store_);
  state.add_port("p1", kPort);
  state.add_port("p2", kPort);
  state.remove_port("p1");
  EXPECT_EQ(restart().runtime_ports(), (Json{{"p2", kPort}}));
}

TEST_F(StateTest, RemovingAPortNobodyKnowsChangesNothing) {
  State state(*store_);
  state.add_port("p1", kPort);
  state.remove_port("p2");
  EXPECT_EQ(restart().runtime_ports(), (Json{{"p1", kPort}}));
}

TEST_F(StateTest, AFreshStoreHasNothing) {
  const State state(*store_);
  EXPECT_EQ(state.taps(), TapPlaces{});
  EXPECT_EQ(state.runtime_ports(), Json::object());
}

// ---- the store's thread --------------------------------------------------------------------------------------------

TEST_F(StateTest, ChangesThroughTheStoresThreadAreKept) {
  State state(*store_);
  state.add_tap({"", "before"});
  {
    dhcp::StoreThread thread(std::move(*store_), [](const std::vector<dhcp::Completion>&) {});
    state.write_through(thread);
    for (int i = 0; i < 100; ++i) state.add_tap({"", "tap" + std::to_string(i)});
    for (int i = 1; i < 100; ++i) state.remove_tap({"", "tap" + std::to_string(i)});
    state.add_port("p1", kPort);
  }
  const State later = restart();
  EXPECT_EQ(later.taps(), (TapPlaces{{"", "before"}, {"", "tap0"}}));
  EXPECT_EQ(later.runtime_ports(), (Json{{"p1", kPort}}));
}

// ---- what somebody else wrote --------------------------------------------------------------------------------------

class GarbageInTheStore : public StateTest, public testing::WithParamInterface<std::string> {
 protected:
  void SetUp() override {
    StateTest::SetUp();
    for (const char* key : {"identities", "taps", "ports"}) put(key, GetParam());
  }
};

TEST_P(GarbageInTheStore, IsAsGoodAsNothing) {
  const State state(*store_);
  EXPECT_EQ(state.taps(), TapPlaces{});
  EXPECT_EQ(state.runtime_ports(), Json::object());
}

TEST_P(GarbageInTheStore, GivesWayToIdentities) {
  const std::string uuid = State(*store_).network_uuid("default");
  const auto mac = restart().mac("network/default");
  State later = restart();
  EXPECT_EQ(later.network_uuid("default"), uuid);
  EXPECT_EQ(later.mac("network/default"), mac);
}

TEST_P(GarbageInTheStore, GivesWayToTaps) {
  State(*store_).add_tap({"", "tap0"});
  EXPECT_EQ(restart().taps(), (TapPlaces{{"", "tap0"}}));
}

TEST_P(GarbageInTheStore, GivesWayToPorts) {
  State(*store_).add_port("p1", kPort);
  EXPECT_EQ(restart().runtime_ports(), (Json{{"p1", kPort}}));
}

INSTANTIATE_TEST_SUITE_P(Kinds, GarbageInTheStore,
                         testing::Values("", "garbage", "\xff\xfe\xfd", std::string("\0\0", 2), "null", "5", "true",
                                         "\"text\"", "[]", "[{}]", "{", R"({"uuid": {)", "{} {}"));

TEST_F(StateTest, DeeplyNestedGarbageIsAsGoodAsNothing) {
  put("ports", std::string(100'000, '[') + std::string(100'000, ']'));
  EXPECT_EQ(State(*store_).runtime_ports(), Json::object());
}

class StrangeIdentities : public StateTest, public testing::WithParamInterface<const char*> {
 protected:
  void SetUp() override {
    StateTest::SetUp();
    put("identities", GetParam());
  }
};

TEST_P(StrangeIdentities, GiveWayToANewUuidThatIsKept) {
  const std::string uuid = State(*store_).network_uuid("default");
  EXPECT_EQ(uuid.size(), 36u) << uuid;
  EXPECT_EQ(restart().network_uuid("default"), uuid);
}

TEST_P(StrangeIdentities, GiveWayToANewMacThatIsKept) {
  const auto mac = State(*store_).mac("network/default");
  EXPECT_EQ(mac.to_u64() >> 24, uint64_t{0x525400});
  EXPECT_EQ(restart().mac("network/default"), mac);
}

INSTANTIATE_TEST_SUITE_P(
    Types, StrangeIdentities,
    testing::Values(R"({"uuid": null, "mac": null})", R"({"uuid": 5, "mac": 5})", R"({"uuid": "x", "mac": "x"})",
                    R"({"uuid": [], "mac": []})", R"({"uuid": ["default"], "mac": ["network/default"]})",
                    R"({"uuid": {"default": null}, "mac": {"network/default": null}})",
                    R"({"uuid": {"default": 5}, "mac": {"network/default": 5}})",
                    R"({"uuid": {"default": {}}, "mac": {"network/default": {}}})",
                    R"({"uuid": {"default": ["x"]}, "mac": {"network/default": ["52:54:00:00:00:01"]}})",
                    R"({"uuid": {"default": false}, "mac": {"network/default": "52:54:00:00:00"}})",
                    R"({"uuid": {"default": 1.5}, "mac": {"network/default": ""}})"));

TEST_F(StateTest, AStrangeIdentityLeavesTheOthersAsTheyAre) {
  const std::string uuid = "11111111-2222-4333-8444-555555555555";
  put("identities", R"({"uuid": {"red": ")" + uuid + R"(", "blue": 5}, "mac": {"x": {}}, "more": [1]})");
  State state(*store_);
  state.network_uuid("blue");
  EXPECT_EQ(restart().network_uuid("red"), uuid);
}

class StrangeTaps : public StateTest, public testing::WithParamInterface<const char*> {
 protected:
  void SetUp() override {
    StateTest::SetUp();
    put("taps", GetParam());
  }
};

TEST_P(StrangeTaps, AreNone) { EXPECT_EQ(State(*store_).taps(), TapPlaces{}); }

INSTANTIATE_TEST_SUITE_P(Types, StrangeTaps,
                         testing::Values(R"({"taps": null})", R"({"taps": 5})", R"({"taps": "tap0"})",
                                         R"({"taps": {"netns": "", "name": "tap0"}})", R"({"taps": ["tap0"]})",
                                         R"({"taps": [null, 5, true, "", [], [[]]]})",
                                         R"({"taps": [[{"netns": "", "name": "tap0"}]]})", R"({"tap": []})"));

TEST_F(StateTest, GoodTapsAreFoundAmongStrangeOnes) {
  put("taps", R"({"taps": [5, {"netns": "guests", "name": "tap0"}, null, {"name": "tap1", "more": []}]})");
  EXPECT_EQ(State(*store_).taps(), (TapPlaces{{"guests", "tap0"}, {"", "tap1"}}));
}

TEST_F(StateTest, TapsWithoutANameArePassedOver) {
  put("taps", R"({"taps": [{}, {"netns": "guests"}, {"netns": "guests", "name": 5}, {"netns": "", "name": ""}]})");
  EXPECT_EQ(State(*store_).taps(), TapPlaces{});
}

TEST_F(StateTest, ATapWhoseNamespaceIsNoTextIsPassedOver) {
  put("taps", R"({"taps": [{"netns": 5, "name": "tap0"}]})");
  EXPECT_EQ(State(*store_).taps(), TapPlaces{});
}

TEST_F(StateTest, ATextThatIsNoUuidGivesWayToANewOne) {
  put("identities", R"({"uuid": {"default": "x"}})");
  EXPECT_EQ(State(*store_).network_uuid("default").size(), 36u);
}

TEST_F(StateTest, AMacNobodyCanHaveGivesWayToANewOne) {
  put("identities", R"({"mac": {"network/default": "ff:ff:ff:ff:ff:ff", "uplink/wan": "00:00:00:00:00:00"}})");
  State state(*store_);
  EXPECT_FALSE(state.mac("network/default").is_multicast());
  EXPECT_FALSE(state.mac("uplink/wan").is_zero());
}

}  // namespace
}  // namespace weft::vswitch
