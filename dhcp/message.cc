// SPDX-License-Identifier: BSD-3-Clause
#include "dhcp/message.h"

#include <algorithm>
#include <cstring>

namespace weft::dhcp {

std::string_view to_string(ParseError e) noexcept {
  switch (e) {
    case ParseError::too_short:
      return "shorter than a DHCP message";
    case ParseError::too_long:
      return "longer than a DHCP message may be";
    case ParseError::not_a_request:
      return "not a request";
    case ParseError::bad_hardware:
      return "hardware address is not an Ethernet station's";
    case ParseError::bad_cookie:
      return "no DHCP cookie";
    case ParseError::bad_options:
      return "option reaches past its field";
    case ParseError::bad_option_size:
      return "option of a length it cannot have";
  }
  return "malformed";
}

tl::expected<Message, ParseError> Message::parse(std::span<const uint8_t> payload) noexcept {
  tl::expected<Message, ParseError> result{Message{}};
  if (const auto error = result->read(payload)) result = tl::make_unexpected(*error);
  return result;
}

std::optional<ParseError> Message::read(std::span<const uint8_t> payload) noexcept {
  if (payload.size() < kFixedSize) return ParseError::too_short;
  if (payload.size() > kMaxParsedSize) return ParseError::too_long;
  payload_ = payload;
  header_ = reinterpret_cast<const MessageHeader*>(payload.data());
  if (header_->op != kBootRequest) return ParseError::not_a_request;
  if (header_->htype != kHtypeEthernet || header_->hlen != 6) return ParseError::bad_hardware;
  if (header_->chaddr.is_multicast() || header_->chaddr.is_zero()) return ParseError::bad_hardware;
  if (header_->cookie.host() != kMagicCookie) return ParseError::bad_cookie;
  if (!read_options()) return ParseError::bad_options;
  if (!sizes_fit()) return ParseError::bad_option_size;
  return std::nullopt;
}

/// Calls visit(code, offset of the value, size of the value) for the options in payload_[first, last). False when one
/// is cut short.
template <class Visit>
bool Message::walk(size_t first, size_t last, Visit&& visit) const noexcept {
  while (first < last) {
    const uint8_t code = payload_[first++];
    if (code == option::kPad) continue;
    if (code == option::kEnd) return true;
    if (first == last) return false;
    const size_t size = payload_[first++];
    if (size > last - first) return false;
    visit(code, first, size);
    first += size;
  }
  return true;
}

bool Message::read_options() noexcept {
  static constexpr size_t kSname = offsetof(MessageHeader, sname), kFile = offsetof(MessageHeader, file);
  bool repeated = false;
  const auto count = [&](uint8_t code, size_t offset, size_t size) {
    Slice& s = slices_[code];
    if (s.present)
      repeated = s.joined = true;
    else
      s.offset = static_cast<uint16_t>(offset);
    s.present = true;
    s.size = static_cast<uint16_t>(s.size + size);
  };
  if (!walk(kFixedSize, payload_.size(), count)) return false;

  // Option 52 counts only in the options field, and only once (RFC 2132 §9.3: 1 file, 2 sname, 3 both).
  const auto overload = option(option::kOverload);
  const unsigned fields = slices_[option::kOverload].joined || overload.size() != 1 ? 0u : overload[0];
  const bool in_file = (fields & 1) != 0, in_sname = (fields & 2) != 0;
  if (in_file && !walk(kFile, kFile + 128, count)) return false;
  if (in_sname && !walk(kSname, kSname + 64, count)) return false;
  if (!repeated) return true;

  // The values that came in parts go one after the other into joined_; together they are smaller than the message.
  size_t used = 0;
  for (Slice& s : slices_) {
    if (!s.joined) continue;
    s.offset = static_cast<uint16_t>(used);
    used += s.size;
    s.size = 0;
  }
  const auto append = [&](uint8_t code, size_t offset, size_t size) {
    Slice& s = slices_[code];
    if (!s.joined) return;
    std::memcpy(joined_.data() + s.offset + s.size, payload_.data() + offset, size);
    s.size = static_cast<uint16_t>(s.size + size);
  };
  return walk(kFixedSize, payload_.size(), append) && (!in_file || walk(kFile, kFile + 128, append)) &&
         (!in_sname || walk(kSname, kSname + 64, append));
}

bool Message::sizes_fit() const noexcept {
  struct Rule {
    uint8_t code;
    size_t size;
  };
  static constexpr Rule kRules[] = {
      {option::kMessageType, 1}, {option::kRequestedAddress, 4}, {option::kServerId, 4}, {option::kSubnetSelection, 4},
      {option::kLeaseTime, 4},   {option::kMaxSize, 2},          {option::kOverload, 1},
  };
  for (const Rule& rule : kRules)
    if (has(rule.code) && option(rule.code).size() != rule.size) return false;
  if (has(option::kMessageType) && option(option::kMessageType)[0] == 0) return false;
  return option(option::kClientId).size() <= 255;
}

MessageType Message::type() const noexcept {
  const auto value = option(option::kMessageType);
  return value.empty() ? MessageType::bootp : static_cast<MessageType>(value[0]);
}

std::span<const uint8_t> Message::option(uint8_t code) const noexcept {
  const Slice& s = slices_[code];
  if (!s.present) return {};
  if (s.joined) return std::span(joined_).subspan(s.offset, s.size);
  return payload_.subspan(s.offset, s.size);
}

std::optional<wire::Ipv4Address> Message::address_option(uint8_t code) const noexcept {
  const auto value = option(code);
  if (value.size() != 4) return std::nullopt;
  return wire::Ipv4Address(value[0], value[1], value[2], value[3]);
}

std::optional<uint32_t> Message::lease_time() const noexcept {
  const auto value = address_option(option::kLeaseTime);  // four bytes in the same order
  return value ? std::optional(value->host()) : std::nullopt;
}

std::optional<uint16_t> Message::max_size() const noexcept {
  const auto value = option(option::kMaxSize);
  if (value.size() != 2) return std::nullopt;
  return static_cast<uint16_t>(value[0] << 8 | value[1]);
}

bool Message::requests(uint8_t code) const noexcept {
  const auto list = option(option::kParameterList);
  return list.empty() || std::find(list.begin(), list.end(), code) != list.end();
}

MessageBuilder::MessageBuilder(size_t max_size) noexcept
    : limit_(std::clamp(max_size, kMinMessageSize, kMaxReplySize) - 1) {
  header().cookie = wire::be32(kMagicCookie);
}

bool MessageBuilder::add(uint8_t code, std::span<const uint8_t> value) noexcept {
  if (size_ + option_size(value.size()) + reserved_ > limit_) return false;
  do {
    const size_t part = std::min<size_t>(value.size(), 255);
    bytes_[size_++] = code;
    bytes_[size_++] = static_cast<uint8_t>(part);
    std::copy_n(value.begin(), part, bytes_.begin() + static_cast<std::ptrdiff_t>(size_));
    size_ += part;
    value = value.subspan(part);
  } while (!value.empty());
  return true;
}

bool MessageBuilder::add(uint8_t code, std::string_view value) noexcept {
  return add(code, std::span(reinterpret_cast<const uint8_t*>(value.data()), value.size()));
}

bool MessageBuilder::add(uint8_t code, wire::Ipv4Address value) noexcept { return add_u32(code, value.host()); }

bool MessageBuilder::add_u8(uint8_t code, uint8_t value) noexcept { return add(code, std::span(&value, 1)); }

bool MessageBuilder::add_u16(uint8_t code, uint16_t value) noexcept {
  const uint8_t bytes[] = {static_cast<uint8_t>(value >> 8), static_cast<uint8_t>(value)};
  return add(code, std::span(bytes));
}

bool MessageBuilder::add_u32(uint8_t code, uint32_t value) noexcept {
  const uint8_t bytes[] = {static_cast<uint8_t>(value >> 24), static_cast<uint8_t>(value >> 16),
                           static_cast<uint8_t>(value >> 8), static_cast<uint8_t>(value)};
  return add(code, std::span(bytes));
}

std::span<const uint8_t> MessageBuilder::finish() noexcept {
  bytes_[size_++] = option::kEnd;
  size_ = std::max(size_, kMinMessageSize);
  return std::span(bytes_).first(size_);
}

}  // namespace weft::dhcp
