// SPDX-License-Identifier: BSD-3-Clause
#include "dns/servers.h"

#include "tests/unit/dns/dns_test.h"

#include <cstdlib>
#include <filesystem>
#include <fstream>

namespace weft::dns {
namespace {

std::string text(const std::vector<Server>& servers) {
  std::string all;
  for (const Server& s : servers) {
    all += fmt::format("{}{}{}{} ", s.address.to_string(), s.scope.empty() ? "" : "%", s.scope,
                       s.port == 53 ? "" : fmt::format("#{}", s.port));
  }
  return all;
}

TEST(ResolvConfText, TakesNameserversInOrder) {
  EXPECT_EQ(text(parse_resolv_conf("# comment\nsearch a b\nnameserver 192.0.2.1\n  nameserver\t2001:db8::1  # x\n"
                                   "options edns0\nnameserver 192.0.2.2")),
            "192.0.2.1 2001:db8::1 192.0.2.2 ");
}

TEST(ResolvConfText, SkipsWhatIsNoServer) {
  EXPECT_EQ(
      text(parse_resolv_conf("nameserver\nnameserver x\nnameserver 1.2.3\nnameservers 1.2.3.4\n;nameserver 1.2.3.4\n"
                             "#nameserver 1.2.3.4\nnameserver 1.2.3.4%eth0\nnameserver fe80::1%\n"
                             "nameserver fe80::1%interfacenametoolong\nnameserver 1.2.3.4 5.6.7.8\r\n\r\n")),
      "1.2.3.4 ");
  EXPECT_EQ(text(parse_resolv_conf("")), "");
}

TEST(ResolvConfText, KeepsScopesAndDropsDoubles) {
  EXPECT_EQ(text(parse_resolv_conf("nameserver fe80::1%eth0\nnameserver fe80::1%eth1\nnameserver fe80::1%eth0\n")),
            "fe80::1%eth0 fe80::1%eth1 ");
}

TEST(ResolvConfText, TakesSixteenAtMost) {
  std::string all;
  for (int i = 0; i < 100; ++i) all += fmt::format("nameserver 10.0.0.{}\n", i);
  EXPECT_EQ(parse_resolv_conf(all).size(), kMaxResolvConfServers);
}

class ResolvConfFile : public testing::Test {
 protected:
  void SetUp() override {
    std::string pattern = (std::filesystem::temp_directory_path() / "weft-dns-XXXXXX").string();
    ASSERT_NE(mkdtemp(pattern.data()), nullptr);
    folder_ = pattern;
  }
  void TearDown() override { std::filesystem::remove_all(folder_); }
  void write(const std::string& content) { std::ofstream(path()) << content; }
  std::string path() const { return folder_ / "resolv.conf"; }
  std::filesystem::path folder_;
};

TEST_F(ResolvConfFile, IsReadAgainWhenItHasChangedOnceASecond) {
  write("nameserver 192.0.2.1\n");
  ResolvConf conf(path());
  EXPECT_EQ(text(conf.servers(0)), "192.0.2.1 ");
  write("nameserver 192.0.2.1\nnameserver 192.0.2.2\n");
  EXPECT_EQ(text(conf.servers(999)), "192.0.2.1 ") << "not looked at within the second";
  EXPECT_EQ(text(conf.servers(1000)), "192.0.2.1 192.0.2.2 ");
  std::filesystem::remove(path());
  EXPECT_EQ(text(conf.servers(2000)), "");
  write("nameserver 192.0.2.3\n");
  EXPECT_EQ(text(conf.servers(3000)), "192.0.2.3 ");
}

TEST_F(ResolvConfFile, SeesAReplacementOfTheSameSize) {
  write("nameserver 192.0.2.1\n");
  ResolvConf conf(path());
  EXPECT_EQ(text(conf.servers(0)), "192.0.2.1 ");
  std::ofstream(folder_ / "new") << "nameserver 192.0.2.7\n";
  std::filesystem::rename(folder_ / "new", path());
  EXPECT_EQ(text(conf.servers(5000)), "192.0.2.7 ");
}

TEST_F(ResolvConfFile, AFolderOrNothingMeansNoServers) {
  ResolvConf folder(folder_.string());
  EXPECT_TRUE(folder.servers(0).empty());
  ResolvConf nothing((folder_ / "nothing").string());
  EXPECT_TRUE(nothing.servers(0).empty());
}

struct Choice {
  const char* what;
  std::vector<ForwardRule> rules;
  std::vector<std::pair<const char*, const char*>> expected;
};

TEST(ForwardRules, ChooseAsDnsmasqDoes) {
  const auto f8 = ip("203.0.113.8"), f10 = ip("203.0.113.10");
  const std::vector<Server> host = {{ip("192.0.2.53")}};
  const Choice cases[] = {
      {"none", {}, {{"a.example", "192.0.2.53 "}}},
      {"plain forwarders instead of the host's", {{"", f8}, {"", f10}}, {{"a.example", "203.0.113.8 203.0.113.10 "}}},
      {"a domain beside the host's",
       {{"corp.example", f8}, {"www.corp.example", {}}},
       {{"x.corp.example", "203.0.113.8 "},
        {"CORP.example", "203.0.113.8 "},
        {"www.corp.example", "192.0.2.53 "},
        {"a.www.corp.example", "192.0.2.53 "},
        {"xcorp.example", "192.0.2.53 "},
        {"other.example", "192.0.2.53 "}}},
      {"an exemption goes to the plain forwarder",
       {{"", f10}, {"corp.example", f8}, {"www.corp.example", {}}},
       {{"x.corp.example", "203.0.113.8 "}, {"www.corp.example", "203.0.113.10 "}, {"other.example", "203.0.113.10 "}}},
      {"two servers of a domain, and a port",
       {{"corp.example", f8, 5353}, {"corp.example", f10}},
       {{"x.corp.example", "203.0.113.8#5353 203.0.113.10 "}}},
  };
  for (const auto& c : cases) {
    const ForwardRules rules(c.rules);
    for (const auto& [n, servers] : c.expected)
      EXPECT_EQ(text(rules.select(name(n), host)), servers) << c.what << ": " << n;
  }
}

}  // namespace
}  // namespace weft::dns
