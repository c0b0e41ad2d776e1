// SPDX-License-Identifier: BSD-3-Clause
#include "dns/message.h"

#include <algorithm>
#include <cstring>

namespace weft::dns {
namespace {

/// Of a name's wire bytes, case folded; 16 bits are enough to skip most comparisons.
uint16_t suffix_hash(std::span<const uint8_t> name) noexcept {
  uint32_t h = 2166136261u;
  for (const uint8_t c : name) h = (h ^ fold_case(c)) * 16777619u;
  return static_cast<uint16_t>(h ^ h >> 16);
}

void store_u16(std::span<uint8_t> out, size_t at, size_t v) noexcept {
  out[at] = static_cast<uint8_t>(v >> 8);
  out[at + 1] = static_cast<uint8_t>(v);
}

}  // namespace

Builder::Builder(std::span<uint8_t> out, uint16_t id, uint16_t flags, std::optional<Edns> edns) noexcept
    : out_(out.first(std::min(out.size(), kMaxMessage))), limit_(out_.size()), id_(id), flags_(flags), edns_(edns) {
  if (edns_ && limit_ < kHeaderSize + Edns::kSize) edns_.reset();
  if (edns_) limit_ -= Edns::kSize;
}

bool Builder::add_question(const Question& question) noexcept {
  overflow_ = false;
  put_name(question.name, true);
  put_u16(question.type);
  put_u16(question.klass);
  if (overflow_) {
    size_ = kHeaderSize;
    n_suffixes_ = 0;
    closed_ = truncated_ = true;
    return false;
  }
  ++counts_[0];
  return true;
}

void Builder::begin_record(Section section, const Name& owner, uint16_t record_type, uint16_t record_klass,
                           uint32_t ttl) noexcept {
  overflow_ = false;
  section_ = section;
  const bool same_rrset =
      rrset_section_ == section && rrset_type_ == record_type && rrset_klass_ == record_klass && rrset_owner_ == owner;
  if (!same_rrset) {
    rrset_section_ = section;
    rrset_type_ = record_type;
    rrset_klass_ = record_klass;
    rrset_owner_ = owner;
    rrset_start_ = {size_, n_suffixes_, counts_[static_cast<size_t>(section)]};
  }
  put_name(owner, true);
  put_u16(record_type);
  put_u16(record_klass);
  put_u32(ttl);
  length_at_ = size_;
  put_u16(0);
}

bool Builder::end_record() noexcept {
  if (closed_) return false;
  const size_t data_size = overflow_ ? 0 : size_ - length_at_ - 2;
  if (overflow_ || data_size > 0xffff || counts_[static_cast<size_t>(section_)] == 0xffff) {
    roll_back();
    return false;
  }
  store_u16(out_, length_at_, data_size);
  ++counts_[static_cast<size_t>(section_)];
  return true;
}

void Builder::roll_back() noexcept {
  size_ = rrset_start_.size;
  n_suffixes_ = rrset_start_.n_suffixes;
  counts_[static_cast<size_t>(section_)] = rrset_start_.count;
  closed_ = true;
  // Additional records are a courtesy: leaving them out is no truncation.
  truncated_ = section_ != Section::kAdditional;
}

void Builder::put(std::span<const uint8_t> bytes) noexcept {
  if (closed_ || overflow_) return;
  if (limit_ - size_ < bytes.size()) {
    overflow_ = true;
    return;
  }
  if (!bytes.empty()) std::memcpy(out_.data() + size_, bytes.data(), bytes.size());
  size_ += bytes.size();
}

void Builder::put_u16(uint16_t v) noexcept {
  const uint8_t b[] = {static_cast<uint8_t>(v >> 8), static_cast<uint8_t>(v)};
  put(b);
}

void Builder::put_u32(uint32_t v) noexcept {
  put_u16(static_cast<uint16_t>(v >> 16));
  put_u16(static_cast<uint16_t>(v));
}

bool Builder::name_at(size_t offset, std::span<const uint8_t> name) const noexcept {
  // Follows our own pointers, which always lead back to whole names.
  for (size_t i = 0; i < name.size();) {
    while ((out_[offset] & 0xc0) == 0xc0) offset = static_cast<size_t>(out_[offset] & 0x3f) << 8 | out_[offset + 1];
    const size_t step = size_t{1} + name[i];
    if (out_[offset] != name[i]) return false;
    for (size_t k = 1; k < step; ++k)
      if (fold_case(out_[offset + k]) != fold_case(name[i + k])) return false;
    offset += step;
    i += step;
  }
  return true;
}

void Builder::put_name(const Name& name, bool compress) noexcept {
  const auto wire = name.wire();
  if (!compress) return put(wire);
  size_t at = 0;  // of the suffix looked for
  const size_t n_known = n_suffixes_;
  while (wire[at] != 0 && !closed_ && !overflow_) {
    const auto suffix = wire.subspan(at);
    const uint16_t hash = suffix_hash(suffix);
    for (size_t i = 0; i < n_known; ++i) {
      if (suffixes_[i].hash != hash || !name_at(suffixes_[i].offset, suffix)) continue;
      put(wire.first(at));
      return put_u16(static_cast<uint16_t>(0xc000 | suffixes_[i].offset));
    }
    // Known from here on, where it is about to stand; pointers reach 14 bits far.
    if (n_suffixes_ < kMaxSuffixes && size_ + at < 0x4000)
      suffixes_[n_suffixes_++] = {static_cast<uint16_t>(size_ + at), hash};
    at += size_t{1} + wire[at];
  }
  put(wire);
}

bool Builder::add(Section section, const Name& owner, uint16_t record_type, uint16_t record_klass, uint32_t ttl,
                  std::span<const uint8_t> data) noexcept {
  if (closed_) return false;
  begin_record(section, owner, record_type, record_klass, ttl);
  put(data);
  return end_record();
}

bool Builder::add_address(Section section, const Name& owner, uint32_t ttl, const wire::IpAddress& address) noexcept {
  uint8_t bytes[16];
  const size_t size = address.is_v4() ? 4 : 16;
  if (address.is_v4()) {
    const wire::Ipv4Address v4 = address.v4();
    std::memcpy(bytes, &v4, 4);
  } else {
    std::memcpy(bytes, address.v6().bytes.data(), 16);
  }
  return add(section, owner, address.is_v4() ? type::kA : type::kAaaa, klass::kIn, ttl, {bytes, size});
}

bool Builder::add_name(Section section, const Name& owner, uint16_t record_type, uint32_t ttl,
                       const Name& target) noexcept {
  if (closed_) return false;
  begin_record(section, owner, record_type, klass::kIn, ttl);
  put_name(target, true);
  return end_record();
}

bool Builder::add_soa(Section section, const Name& zone, uint32_t ttl, const Name& primary,
                      const Name& mailbox) noexcept {
  if (closed_) return false;
  begin_record(section, zone, type::kSoa, klass::kIn, ttl);
  put_name(primary, true);
  put_name(mailbox, true);
  for (const uint32_t v : {1u, 3600u, 600u, 86400u, ttl}) put_u32(v);  // serial, refresh, retry, expire, minimum
  return end_record();
}

size_t Builder::finish() noexcept {
  if (out_.size() < kHeaderSize) return 0;
  if (edns_) {
    limit_ += Edns::kSize;
    closed_ = overflow_ = false;
    put(std::array<uint8_t, 1>{0});  // the root
    put_u16(type::kOpt);
    put_u16(edns_->udp_size);
    put_u32(uint32_t{edns_->extended_rcode} << 24 | uint32_t{edns_->version} << 16 | (edns_->dnssec_ok ? 0x8000u : 0u));
    put_u16(0);
    ++counts_[3];
  }
  store_u16(out_, 0, id_);
  store_u16(out_, 2, flags_ | (truncated_ ? flag::kTruncated : 0));
  for (size_t i = 0; i < 4; ++i) store_u16(out_, 4 + 2 * i, counts_[i]);
  return size_;
}

}  // namespace weft::dns
