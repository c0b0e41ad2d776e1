// SPDX-License-Identifier: BSD-3-Clause
//
// What a reply holds and where it goes.
#include "dhcp_test.h"

namespace weft::dhcp {
namespace {

using Codes = std::vector<uint8_t>;

TEST(DhcpReply, HasTheFixedPartOfTable3) {
  Lab lab;
  const auto offer = lab.discover(7);
  EXPECT_EQ(offer.pdu->opcode(), 2);
  EXPECT_EQ(offer.pdu->htype(), 1);
  EXPECT_EQ(offer.pdu->hlen(), 6);
  EXPECT_EQ(offer.pdu->hops(), 0);
  EXPECT_EQ(offer.pdu->xid(), 0x12345678u);
  EXPECT_EQ(offer.pdu->secs(), 0);
  EXPECT_EQ(offer.pdu->padding(), 0x8000);
  EXPECT_EQ(offer.pdu->ciaddr().to_string(), "0.0.0.0");
  EXPECT_EQ(offer.pdu->siaddr().to_string(), "192.168.122.1");
  EXPECT_EQ(Tins::HWAddress<6>(offer.pdu->chaddr()).to_string(), mac(7).to_string());
  EXPECT_GE(offer.outcome.reply.size(), 300u);
}

TEST(DhcpReply, AlwaysHasTheseOptionsInThisOrder) {
  Lab lab;
  const auto offer = lab.tell(Ask(7, MessageType::discover).list({200}));
  EXPECT_EQ(offer.codes(), (Codes{53, 54, 51, 58, 59, 1, 28}));
  EXPECT_EQ(offer.ip_option(54), "192.168.122.1");
  EXPECT_EQ(offer.number(51), 3600u);
  EXPECT_EQ(offer.number(58), 1800u);
  EXPECT_EQ(offer.number(59), 3150u);
  EXPECT_EQ(offer.ip_option(1), "255.255.255.0");
  EXPECT_EQ(offer.ip_option(28), "192.168.122.255");
}

TEST(DhcpReply, OptionsThatTheListAsksFor) {
  struct Row {
    const char* what;
    bool router, dns;
    std::string domain;
    std::optional<uint16_t> mtu;
    std::optional<Codes> list;
    Codes given;  // after those that are always there
  };
  const Codes all{3, 6, 15, 26};
  const Row rows[] = {
      {"no list: everything", true, true, "d", 1400, {}, all},
      {"all in the list", true, true, "d", 1400, Codes{26, 15, 6, 3}, all},
      {"only what is in the list", true, true, "d", 1400, Codes{1, 3}, {3}},
      {"isolated: no router", false, true, "d", {}, Codes{3, 6, 15}, {6, 15}},
      {"isolated, no list", false, true, "d", {}, {}, {6, 15}},
      {"dns disabled", true, false, "d", {}, Codes{3, 6, 15}, {3, 15}},
      {"no domain, no mtu", true, true, "", {}, Codes{3, 6, 15, 26}, {3, 6}},
  };
  for (const Row& row : rows) {
    Scope scope = default_scope();
    scope.send_router = row.router;
    scope.send_dns = row.dns;
    scope.domain = row.domain;
    scope.mtu = row.mtu;
    Lab lab(scope);
    Ask ask(7, MessageType::discover);
    if (row.list) ask.option(option::kParameterList, std::string(row.list->begin(), row.list->end()));
    Codes codes = lab.tell(ask).codes();
    ASSERT_GE(codes.size(), 7u);
    codes.erase(codes.begin(), codes.begin() + 7);
    EXPECT_EQ(codes, row.given) << row.what;
  }
}

TEST(DhcpReply, ValuesOfTheConfiguredOptions) {
  Scope scope = default_scope();
  scope.mtu = 1400;
  Lab lab(scope);
  const auto offer = lab.discover(7);
  EXPECT_EQ(offer.ip_option(3), "192.168.122.1");
  EXPECT_EQ(offer.ip_option(6), "192.168.122.1");
  EXPECT_EQ(offer.option(15), "lab.test");
  EXPECT_EQ(offer.number(26), 1400u);
}

TEST(DhcpReply, BootFileAndServer) {
  Scope scope = default_scope();
  scope.boot_file = "/pxelinux.0";
  scope.boot_server = ip("192.168.122.9");
  Lab lab(scope);
  const auto offer = lab.discover(7);
  EXPECT_EQ(std::string(reinterpret_cast<const char*>(offer.pdu->file())), "/pxelinux.0");
  EXPECT_EQ(offer.pdu->siaddr().to_string(), "192.168.122.9");
  EXPECT_FALSE(offer.option(67));
  scope.boot_file = std::string(300, 'f');
  Lab long_name(scope);
  EXPECT_EQ(long_name.discover(7).pdu->file()[127], 0) << "always terminated";
}

TEST(DhcpReply, HostnameInOfferAndAck) {
  Scope scope = default_scope();
  scope.hosts = {host(1, "stat1.lab.test", "192.168.122.10")};
  Lab lab(scope);
  EXPECT_EQ(lab.discover(1).option(12), "stat1") << "configured: in the OFFER too";
  EXPECT_FALSE(lab.tell(Ask(7, MessageType::discover).name("vm7")).option(12)) << "its own: in the ACK only";
  EXPECT_EQ(lab.boot(7, "vm7.lab.test").option(12), "vm7");
  EXPECT_EQ(lab.boot(8, "vm8.evil.org").option(12), "vm8");
  EXPECT_FALSE(lab.boot(9, "bad_name!").option(12));
  EXPECT_EQ(lab.boot(10, "stat1").option(12), "stat1") << "echoed, though not published";
  EXPECT_EQ(lab.boot(1, "mine").option(12), "stat1") << "the configured name wins";
  EXPECT_FALSE(lab.tell(Ask(11, MessageType::request).name("vm11").wants("192.168.122.140").list({1, 3})).option(12));
}

TEST(DhcpReply, Fqdn) {  // RFC 4702
  Lab lab;
  const std::string sent("\x05\0\0\x03vm4\x03lab\x04test\0", 17);
  const std::string expected("\x05\xff\xff\x03vm4\x03lab\x04test\0", 17);
  const auto offer = lab.tell(Ask(7, MessageType::discover).option(81, sent));
  EXPECT_EQ(offer.option(81), expected);
  EXPECT_EQ(offer.option(12), "vm4") << "a client that uses 81 is answered in the OFFER";
  const auto ascii =
      lab.tell(Ask(7, MessageType::request).wants(offer.address()).option(81, std::string("\x01\0\0vm5", 6)));
  EXPECT_EQ(ascii.option(81), "\x01\xff\xffvm5.lab.test");
  EXPECT_EQ(lab.server.find(ip(offer.address()))->hostname, "vm5");
  EXPECT_FALSE(lab.tell(Ask(8, MessageType::discover)).option(81)) << "only when the client sent it";
  EXPECT_FALSE(lab.tell(Ask(8, MessageType::discover).option(81, std::string("\x01\0\0!!", 5))).option(81));
}

TEST(DhcpReply, FqdnGoesBeforeHostname) {
  Lab lab;
  const auto ack = lab.tell(
      Ask(7, MessageType::request).wants("192.168.122.140").name("old").option(81, std::string("\x01\0\0new", 6)));
  EXPECT_EQ(ack.option(12), "new");
}

TEST(DhcpReply, EchoesIdentifierSubnetAndRelayAgent) {  // RFC 6842, RFC 3011, RFC 3046: the last one last
  Lab lab;
  const auto offer = lab.tell(Ask(7, MessageType::discover)
                                  .option(82,
                                          "\x01\x03"
                                          "abc")
                                  .client_id("id-7")
                                  .address(118, "192.168.122.0")
                                  .list({1}));
  EXPECT_EQ(offer.codes(), (Codes{53, 54, 51, 58, 59, 1, 28, 118, 61, 82}));
  EXPECT_EQ(offer.option(61), "id-7");
  EXPECT_EQ(offer.option(82),
            "\x01\x03"
            "abc");
  const auto nak = lab.tell(Ask(8, MessageType::request).client_id("id-8").wants("10.0.0.1").option(82, "\x01\x01z"));
  EXPECT_EQ(nak.codes(), (Codes{53, 54, 56, 61, 82}));
}

TEST(DhcpReply, Nak) {
  Lab lab;
  const auto nak = lab.tell(Ask(7, MessageType::request).wants("10.0.0.1").unicast_flag());
  EXPECT_EQ(nak.type(), MessageType::nak);
  EXPECT_EQ(nak.pdu->padding(), 0x8000) << "whatever the client asked for";
  EXPECT_EQ(nak.pdu->siaddr().to_string(), "0.0.0.0");
  EXPECT_EQ(nak.address(), "0.0.0.0");
  EXPECT_TRUE(nak.outcome.destination.broadcast);
  EXPECT_EQ(nak.outcome.reason, "wrong network");
  EXPECT_FALSE(nak.outcome.change);
}

TEST(DhcpReply, Destinations) {  // RFC 2131 §4.1
  Lab lab;
  const auto mine = lab.boot(7).address();
  struct Row {
    const char* what;
    Ask ask;
    bool broadcast;
    std::string ip;
    wire::MacAddress mac;
    uint16_t port;
  };
  const auto all = wire::MacAddress::broadcast();
  const Row rows[] = {
      {"broadcast flag", Ask(7, MessageType::discover), true, "255.255.255.255", all, 68},
      {"no flag: to yiaddr", Ask(7, MessageType::discover).unicast_flag(), false, mine, mac(7), 68},
      {"ciaddr", Ask(7, MessageType::request).ciaddr(mine), false, mine, mac(7), 68},
      {"ciaddr goes before the flag", Ask(7, MessageType::request).ciaddr(mine).to_server(mine), false, mine, mac(7),
       68},
      {"ciaddr of elsewhere is not written to", Ask(7, MessageType::request).wants(mine).ciaddr("10.0.0.1"), true,
       "255.255.255.255", all, 68},
      {"ciaddr that is a broadcast address", Ask(7, MessageType::request).wants(mine).ciaddr("192.168.122.255"), true,
       "255.255.255.255", all, 68},
      {"NAK", Ask(7, MessageType::request).unicast_flag().wants("10.0.0.1"), true, "255.255.255.255", all, 68},
      {"relay", Ask(7, MessageType::discover).giaddr("192.168.122.9").from_mac(mac(99)), false, "192.168.122.9",
       mac(99), 67},
      {"NAK by relay", Ask(7, MessageType::request).giaddr("192.168.122.9").from_mac(mac(99)).wants("10.0.0.1"), false,
       "192.168.122.9", mac(99), 67},
  };
  for (const Row& row : rows) {
    const auto answer = lab.tell(row.ask);
    ASSERT_TRUE(answer.replied()) << row.what;
    const Destination& to = answer.outcome.destination;
    EXPECT_EQ(to.broadcast, row.broadcast) << row.what;
    EXPECT_EQ(to.ip.to_string(), row.ip) << row.what;
    EXPECT_EQ(to.mac, row.mac) << row.what;
    EXPECT_EQ(to.port, row.port) << row.what;
  }
}

TEST(DhcpReply, HonoursTheLargestSizeAClientTakes) {  // option 57
  Scope scope = default_scope();
  scope.domain = std::string(60, 'd');
  const std::string id(250, 'i'), relay = std::string("\x01\xc8", 2) + std::string(200, 'r');
  struct Row {
    std::optional<uint16_t> max_size;
    std::optional<uint16_t> mtu;
    size_t limit;
  };
  for (const Row& row : {Row{{}, {}, 548},
                         {576, {}, 548},
                         {100, {}, 548},
                         {1500, {}, 1472},
                         {9000, {}, 1472},
                         {1500, 800, 772},
                         {1500, 300, 548}}) {
    scope.mtu = row.mtu;
    Lab lab(scope);
    Ask ask(7, MessageType::discover);
    ask.client_id(id).option(82, relay);
    if (row.max_size) ask.option(57, {static_cast<char>(*row.max_size >> 8), static_cast<char>(*row.max_size & 0xff)});
    const auto offer = lab.tell(ask);
    ASSERT_TRUE(offer.replied());
    EXPECT_LE(offer.outcome.reply.size(), row.limit);
    EXPECT_EQ(offer.option(53), "\x02");
    EXPECT_EQ(offer.outcome.reply.size() > 548, row.limit > 548) << "what fits is sent";
  }
}

TEST(DhcpReply, WithoutRoomTheConfigurationGoesBeforeTheEchoes) {
  Lab lab;
  const auto offer = lab.tell(Ask(7, MessageType::discover)
                                  .client_id(std::string(255, 'i'))
                                  .option(82, std::string("\x01\xfd", 2) + std::string(253, 'r')));
  ASSERT_TRUE(offer.replied());
  EXPECT_EQ(offer.option(53), "\x02") << "a reply without its type would be none";
  EXPECT_TRUE(offer.option(51) && offer.option(54) && offer.option(1));
}

}  // namespace
}  // namespace weft::dhcp
