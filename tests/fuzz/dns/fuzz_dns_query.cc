// SPDX-License-Identifier: BSD-3-Clause
//
// A client's message, given to a Resolver: it is answered at most once, within its size, in a form that can
// be read, with the id it came with.
#include "dns/reply.h"
#include "dns/resolver.h"
#include "tests/fuzz/dns/check.h"

#include <array>

using namespace weft::dns;
using weft::wire::IpAddress;

namespace {

/// Answers everything at once, with more records than small clients can take.
class EchoUpstream final : public Upstream {
 public:
  void query(const UpstreamQuestion& question, Completion done) override {
    std::array<uint8_t, 4096> out;
    Builder builder(out, 0, flag::kResponse);
    builder.add_question(question.question);
    for (uint8_t i = 0; i < 60; ++i)
      builder.add_address(Section::kAnswer, question.question.name, 60, weft::wire::Ipv4Address(192, 0, 2, i));
    const auto answer = canonicalise(std::span(out).first(builder.finish()));
    check(answer.has_value(), "what the builder writes is canonical");
    done({UpstreamStatus::kAnswered, answer->message});
  }
};

LocalZoneConfig config() {
  const auto ip = [](const char* text) { return IpAddress::parse(text).value(); };
  LocalZoneConfig c;
  c.domain = "lab.test";
  c.local_only = true;
  c.forward_plain_names = false;
  c.subnets = {{ip("192.168.122.1"), 24, true}, {ip("fd00:122::1"), 64, true}};
  c.hosts = {{ip("192.168.122.10"), {"vm1", "www.lab.test", "a.b.lab.test"}}};
  c.reservations = {{"vm2", ip("192.168.122.20")}};
  return c;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static uint64_t now_ms = 0;
  static Resolver resolver(config(), std::make_unique<EchoUpstream>(), [] { return now_ms += 100; },
                           {.cache = {.max_entries = 16}});
  if (size == 0) return 0;
  const Transport transport = (data[0] & 1) != 0 ? Transport::kTcp : Transport::kUdp;
  const std::span<const uint8_t> message(data + 1, size - 1);

  // The bytes are also a client's idea of its name.
  const std::string_view name(reinterpret_cast<const char*>(message.data()), std::min<size_t>(message.size(), 70));
  resolver.zone().set_lease(name, IpAddress(weft::wire::Ipv4Address(192, 168, 122, data[0])));

  int n_replies = 0;
  resolver.query(message, transport, data[0], [&](std::span<const uint8_t> response) {
    ++n_replies;
    if (response.empty()) return;
    const auto query = parse_query(message);
    const size_t limit = query ? query->response_limit(transport) : kPlainUdpSize;
    check(response.size() <= limit, "the answer keeps to its limit");
    check(response[0] == message[0] && response[1] == message[1], "the answer has the query's id");
    check_response(response);
  });
  check(n_replies == 1, "one reply");
  return 0;
}
