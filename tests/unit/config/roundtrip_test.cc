// SPDX-License-Identifier: BSD-3-Clause
//
// For all configurations: what is written is read back as the same model, by YAML and by XML.
#include "config/libvirt_xml.h"
#include "config/load.h"
#include "config/yaml_out.h"
#include "random_model.h"

#include <random>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace weft::config {
namespace {

TEST(RoundTrip, YamlLoadsBackToTheSameModel) {
  for (uint64_t seed = 0; seed < 600; ++seed) {
    std::mt19937_64 rng(seed);
    Config c = testing::random_config(rng);
    const std::string text = to_yaml(c);
    complete(c);
    const Loaded loaded = load(text, "f", Support::kWholeSchema);
    ASSERT_TRUE(loaded.ok()) << "seed " << seed << "\n" << to_string(loaded.errors) << text;
    ASSERT_EQ(loaded.config, c) << "seed " << seed << "\n" << text;
    // Canonical: written again it is the same text, and completing has added nothing that a reader would not.
    const std::string again = to_yaml(loaded.config);
    ASSERT_EQ(to_yaml(load(again, "f", Support::kWholeSchema).config), again) << "seed " << seed;
    ASSERT_EQ(load(again, "f", Support::kWholeSchema).config, c) << "seed " << seed;
  }
}

TEST(RoundTrip, XmlImportsBackToTheSameModel) {
  for (uint64_t seed = 0; seed < 600; ++seed) {
    std::mt19937_64 rng(seed);
    Config before;
    before.networks.push_back(testing::random_libvirt_network(rng));
    const std::string xml = to_libvirt_xml(before.networks[0]);
    const ImportResult result = import_network(xml, "f", Support::kWholeSchema);
    ASSERT_TRUE(result.ok()) << "seed " << seed << "\n" << to_string(result.errors) << xml;
    Config after;
    after.networks.push_back(*result.network);
    complete(before);
    complete(after);
    ASSERT_EQ(after, before) << "seed " << seed << "\n" << xml << to_yaml(before) << to_yaml(after);
    ASSERT_EQ(to_libvirt_xml(*result.network), xml) << "seed " << seed;
  }
}

TEST(RoundTrip, YamlIsMinimal) {
  Config c;
  EXPECT_EQ(to_yaml(c), "{}\n");
  Network n;
  n.name = "a";
  EXPECT_EQ(to_yaml(n), "networks:\n  - {name: a}\n");
}

TEST(RoundTrip, YamlKeepsToOneStyle) {
  const std::string text = R"(uplinks:
  - {name: wan, device: eth1, address: [203.0.113.2/24], gateway: [203.0.113.1]}
networks:
  - name: default
    description: |-
      two
      lines
    forward:
      mode: nat
      dev: wan
      nat: {port: {start: 2000, end: 3000}}
    bridge: {name: virbr0}
    domain: {name: lab.test}
    ips:
      - address: 192.0.2.1
        prefix: 24
        dhcp:
          ranges:
            - {start: 192.0.2.2, end: 192.0.2.254, lease: {expiry: 2, unit: hours}}
          hosts:
            - {mac: "52:54:00:aa:bb:cc", name: vm1, ip: 192.0.2.10}
ports:
  - {name: vm1, network: default, vhostuser: {path: /run/weft/vm1.sock}}
)";
  const Loaded loaded = load(text, "f");
  EXPECT_EQ(to_string(loaded.errors), "");
  EXPECT_EQ(to_yaml(loaded.config), text);
}

}  // namespace
}  // namespace weft::config
