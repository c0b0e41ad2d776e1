// SPDX-License-Identifier: BSD-3-Clause
//
// An upstream server's message: whatever it is, what we make of it can be read, is itself canonical already,
// and fits every client.
#include "dns/cache.h"
#include "dns/reply.h"
#include "tests/fuzz/dns/check.h"

#include <algorithm>

using namespace weft::dns;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const auto answer = canonicalise({data, size});
  if (!answer) return 0;
  check_response(answer->message);
  const auto again = canonicalise(answer->message);
  check(again && again->message == answer->message, "canonical messages stay as they are");
  (void)cache_lifetime(answer->message, answer->question, {});

  Query query{.id = 1, .flags = flag::kRecursionDesired, .question = answer->question};
  for (const size_t edns_size : {0u, 512u, 1232u}) {
    query.edns.reset();
    if (edns_size != 0) query.edns = Edns{.udp_size = static_cast<uint16_t>(edns_size), .dnssec_ok = true};
    std::array<uint8_t, kEdnsUdpSize> out;
    const size_t limit = query.response_limit(Transport::kUdp);
    const size_t written = write_reply(answer->message, query, 10, std::span(out).first(limit));
    check(written != 0 && written <= limit, "the reply keeps to its limit");
    check_response(std::span(out).first(written));
  }
  return 0;
}
