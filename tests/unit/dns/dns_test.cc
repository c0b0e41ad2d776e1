// SPDX-License-Identifier: BSD-3-Clause
#include "tests/unit/dns/dns_test.h"

#include <map>

namespace weft::dns {
namespace {

std::string type_text(uint16_t t) {
  static const std::map<uint16_t, std::string> kNames = {
      {type::kA, "A"},   {type::kNs, "NS"},   {type::kCname, "CNAME"}, {type::kSoa, "SOA"}, {type::kPtr, "PTR"},
      {type::kMx, "MX"}, {type::kTxt, "TXT"}, {type::kAaaa, "AAAA"},   {type::kSrv, "SRV"}, {type::kAny, "ANY"}};
  const auto it = kNames.find(t);
  return it != kNames.end() ? it->second : fmt::format("TYPE{}", t);
}

std::string head_text(const Header& h) {
  static const char* const kRcodes[] = {"NOERROR", "FORMERR", "SERVFAIL", "NXDOMAIN", "NOTIMP", "REFUSED"};
  const unsigned code = h.flags & flag::kRcodeMask;
  std::string text = code < 6 ? kRcodes[code] : fmt::format("rcode {}", code);
  if ((h.flags & flag::kResponse) == 0) text += " query";
  for (const auto& [bit, letters] : {std::pair(flag::kAuthoritative, " aa"),
                                     {flag::kTruncated, " tc"},
                                     {flag::kRecursionDesired, " rd"},
                                     {flag::kRecursionAvailable, " ra"},
                                     {flag::kAuthenticData, " ad"},
                                     {flag::kCheckingDisabled, " cd"}})
    if ((h.flags & bit) != 0) text += letters;
  return text;
}

std::string record_text(std::span<const uint8_t> message, const Record& r, const char* section) {
  const auto data = message.subspan(r.data_offset, r.data_size);
  if (r.type == type::kOpt) {
    std::string text = fmt::format("opt {}{}", r.klass, (r.ttl & 0x8000) != 0 ? " do" : "");
    if (r.ttl >> 24 != 0) text += fmt::format(" high {}", r.ttl >> 24);
    return text;
  }
  std::string text = fmt::format("{}{} {} {}", section, r.owner.to_string(), r.ttl, type_text(r.type));
  if (r.type == type::kA && data.size() == 4) text += fmt::format(" {}.{}.{}.{}", data[0], data[1], data[2], data[3]);
  if (r.type == type::kAaaa && data.size() == 16) {
    wire::Ipv6Address a;
    std::copy(data.begin(), data.end(), a.bytes.begin());
    text += fmt::format(" {}", a.to_string());
  }
  if (r.type == type::kPtr || r.type == type::kCname) {
    size_t at = r.data_offset;
    const auto target = Name::from_message(message, at);
    text += fmt::format(" {}", target ? target->to_string() : "bad name");
  }
  return text;
}

}  // namespace

std::string describe(std::span<const uint8_t> message) {
  Reader reader(message);
  const auto h = reader.header();
  if (!h) return "short";
  std::string text = head_text(*h);
  for (unsigned i = 0; i < h->counts[0]; ++i) {
    const auto q = reader.question();
    if (!q) return text + " | bad question";
    text += fmt::format(" | {} {}", q->name.to_string(), type_text(q->type));
  }
  static const char* const kSections[] = {"", "", "auth ", "add "};
  for (size_t section = 1; section < 4; ++section) {
    for (unsigned i = 0; i < h->counts[section]; ++i) {
      const auto r = reader.record();
      if (!r) return text + " | bad record";
      text += fmt::format(" | {}", record_text(message, *r, kSections[section]));
    }
  }
  if (reader.offset() != message.size()) text += " | trailing bytes";
  return text;
}

}  // namespace weft::dns
