// SPDX-License-Identifier: BSD-3-Clause
#include "dns/reply.h"

#include <algorithm>
#include <cstring>
#include <string_view>

namespace weft::dns {
namespace {

/// The shape of record data that holds names. 'n': a name that may be compressed, 'u': one that may not, but
/// may come compressed from old servers (RFC 3597 §4); 's': a character string; a digit or letter a…: 1…9,
/// 10… fixed bytes;
/// '*': whatever is left.
struct Layout {
  uint16_t type;
  std::string_view fields;
};
constexpr Layout kLayouts[] = {
    {1, "4"},    {2, "n"},  {3, "n"},   {4, "n"},   {5, "n"},      {6, "nnk"}, {7, "n"},   {8, "n"},
    {9, "n"},    {12, "n"}, {14, "nn"}, {15, "2n"}, {17, "uu"},    {18, "2u"}, {21, "2u"}, {24, "iu*"},
    {26, "2uu"}, {28, "g"}, {30, "u*"}, {33, "6u"}, {35, "4sssu"}, {36, "2u"}, {39, "u"},
};
constexpr size_t kSoaTimes = 20;

std::string_view layout_of(uint16_t record_type) noexcept {
  for (const Layout& l : kLayouts)
    if (l.type == record_type) return l.fields;
  return "*";
}

/// Bytes a fixed field takes: '1'…'9', then letters 'a' = 10 onwards.
size_t fixed_size(char field) noexcept { return static_cast<size_t>(field <= '9' ? field - '0' : field - 'a' + 10); }

/// Copies one record's data field by field. False: malformed.
bool copy_data(std::span<const uint8_t> message, const Record& record, Builder& builder) noexcept {
  size_t at = record.data_offset;
  for (const char field : layout_of(record.type)) {
    if (field == 'n' || field == 'u') {
      // The message ends, for this name, where the data does.
      const auto name = Name::from_message(message.first(record.end()), at);
      if (!name) return false;
      builder.put_name(*name, field == 'n');
      continue;
    }
    size_t size = record.end() - at;
    if (field == 's') {
      if (size == 0) return false;
      size = size_t{1} + message[at];
    } else if (field != '*') {
      size = fixed_size(field);
    }
    if (record.end() - at < size) return false;
    builder.put(message.subspan(at, size));
    at += size;
  }
  return at == record.end();
}

uint32_t soa_minimum(std::span<const uint8_t> message, const Record& soa) noexcept {
  if (soa.data_size < kSoaTimes) return 0;
  uint32_t v = 0;
  for (size_t i = soa.end() - 4; i < soa.end(); ++i) v = v << 8 | message[i];
  return v;
}

}  // namespace

std::optional<CanonicalAnswer> canonicalise(std::span<const uint8_t> message) {
  Reader reader(message);
  const auto header = reader.header();
  if (!header || (header->flags & flag::kResponse) == 0 || header->counts[0] != 1) return std::nullopt;
  const auto question = reader.question();
  if (!question) return std::nullopt;

  CanonicalAnswer answer{.question = *question, .rcode = static_cast<uint16_t>(header->flags & flag::kRcodeMask)};
  answer.message.resize(kMaxMessage);
  Builder builder(answer.message, 0, header->flags);
  builder.add_question(*question);
  bool has_opt = false;
  for (const Section section : {Section::kAnswer, Section::kAuthority, Section::kAdditional}) {
    for (size_t i = header->counts[static_cast<size_t>(section)]; i != 0; --i) {
      const auto record = reader.record();
      if (!record) return std::nullopt;
      if (record->type == type::kOpt) {
        if (has_opt || section != Section::kAdditional) return std::nullopt;
        has_opt = true;
        answer.rcode = static_cast<uint16_t>(answer.rcode | Edns::from(*record).extended_rcode << 4);
        continue;
      }
      const bool negative_soa = record->type == type::kSoa && section == Section::kAuthority;
      const uint32_t ttl = negative_soa ? std::min(record->ttl, soa_minimum(message, *record)) : record->ttl;
      builder.begin_record(section, record->owner, record->type, record->klass, ttl);
      if (!copy_data(message, *record, builder)) return std::nullopt;
      builder.end_record();
    }
  }
  answer.truncated = builder.truncated() || (header->flags & flag::kTruncated) != 0;
  answer.message.resize(builder.finish());
  answer.message.shrink_to_fit();
  return answer;
}

namespace {

/// Where a message may be cut: behind which byte, and what the counts then are.
struct Cut {
  size_t size = 0;
  std::array<uint16_t, 4> counts{};
  bool truncated = false;  // a record the client needs is missing
};

/// The longest run of whole RRsets within `limit` bytes. The authority section is needed where it carries the
/// answer (no answer records) or its proof (`dnssec`).
std::optional<Cut> find_cut(std::span<const uint8_t> message, size_t limit, bool dnssec) noexcept {
  Reader reader(message);
  const auto header = reader.header();
  if (!header || !reader.question()) return std::nullopt;
  Cut here{.size = reader.offset(), .counts = {header->counts[0], 0, 0, 0}};
  Cut best = here;
  std::optional<Record> last;
  for (size_t section = 1; section < 4; ++section) {
    for (size_t i = 0; i < header->counts[section]; ++i) {
      const auto record = reader.record();
      if (!record) return std::nullopt;
      const bool same_rrset =
          i != 0 && last->type == record->type && last->klass == record->klass && last->owner == record->owner;
      if (!same_rrset) best = here;  // everything before this record is whole
      last = record;
      if (reader.offset() > limit) {
        best.truncated = section == 1 || (section == 2 && (dnssec || header->counts[1] == 0));
        return best;
      }
      here.size = reader.offset();
      ++here.counts[section];
    }
  }
  return here;
}

void store_u16(std::span<uint8_t> out, size_t at, uint16_t v) noexcept {
  out[at] = static_cast<uint8_t>(v >> 8);
  out[at + 1] = static_cast<uint8_t>(v);
}

void age_ttls(std::span<uint8_t> message, size_t n_records, uint32_t age_s) noexcept {
  Reader reader(message);
  (void)reader.header();
  (void)reader.question();
  for (; n_records != 0; --n_records) {
    const auto record = reader.record();
    if (!record) return;
    const uint32_t ttl = record->ttl - std::min(record->ttl, age_s);
    store_u16(message, record->ttl_offset, static_cast<uint16_t>(ttl >> 16));
    store_u16(message, record->ttl_offset + 2, static_cast<uint16_t>(ttl));
  }
}

}  // namespace

size_t write_reply(std::span<const uint8_t> canonical, const Query& query, uint32_t age_s,
                   std::span<uint8_t> out) noexcept {
  const size_t opt_size = query.edns ? Edns::kSize : 0;
  Reader reader(canonical);
  const auto header = reader.header();
  const auto question = reader.question();
  if (!header || !question || !(*question == query.question)) return 0;
  if (out.size() < reader.offset() + opt_size) return 0;
  const auto cut = find_cut(canonical, out.size() - opt_size, query.dnssec_ok());
  if (!cut) return 0;

  std::memcpy(out.data(), canonical.data(), cut->size);
  const auto name = query.question.name.wire();
  std::memcpy(out.data() + kHeaderSize, name.data(), name.size());
  age_ttls(out.first(cut->size), size_t{cut->counts[1]} + cut->counts[2] + cut->counts[3], age_s);

  const bool wants_ad = (query.flags & flag::kAuthenticData) != 0 || query.dnssec_ok();
  uint16_t extra = wants_ad ? header->flags & flag::kAuthenticData : 0;
  if (cut->truncated || (header->flags & flag::kTruncated) != 0) extra |= flag::kTruncated;
  auto counts = cut->counts;
  size_t size = cut->size;
  if (query.edns) {
    const uint8_t opt[Edns::kSize] = {0,
                                      0,
                                      type::kOpt,
                                      kEdnsUdpSize >> 8,
                                      kEdnsUdpSize & 0xff,
                                      0,
                                      0,
                                      query.edns->dnssec_ok ? uint8_t{0x80} : uint8_t{0},
                                      0,
                                      0,
                                      0};
    std::memcpy(out.data() + size, opt, sizeof opt);
    size += sizeof opt;
    ++counts[3];
  }
  store_u16(out, 0, query.id);
  store_u16(out, 2, response_flags(query.flags, extra, header->flags & flag::kRcodeMask));
  for (size_t i = 0; i < 4; ++i) store_u16(out, 4 + 2 * i, counts[i]);
  return size;
}

}  // namespace weft::dns
