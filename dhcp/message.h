// SPDX-License-Identifier: BSD-3-Clause
//
// A DHCPv4 message as bytes: a parser that reads what a guest sent, and a builder for what it is answered. Both are
// bounded, allocate nothing and throw nothing; any thread.
//
//    0                   1                   2                   3
//    0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
//   +---------------+---------------+---------------+---------------+
//   |     op (1)    |   htype (1)   |   hlen (1)    |   hops (1)    |
//   +---------------+---------------+---------------+---------------+
//   |                            xid (4)                            |
//   +-------------------------------+-------------------------------+
//   |           secs (2)            |           flags (2)           |
//   +-------------------------------+-------------------------------+
//   |  ciaddr (4), yiaddr (4), siaddr (4), giaddr (4)               |
//   +---------------------------------------------------------------+
//   |  chaddr (16), sname (64), file (128)                          |
//   +---------------------------------------------------------------+
//   |  magic cookie 63 82 53 63, options (variable)                 |
//   +---------------------------------------------------------------+   RFC 2131 §2, RFC 2132 §2
#pragma once

#include "dataplane/wire/addr.h"
#include "dataplane/wire/be.h"

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string_view>

#include <tl/expected.hpp>

namespace weft::dhcp {

inline constexpr uint16_t kServerPort = 67;
inline constexpr uint16_t kClientPort = 68;

inline constexpr size_t kFixedSize = 240;         ///< up to and with the magic cookie
inline constexpr size_t kMinMessageSize = 300;    ///< what BOOTP clients and relays expect at least (RFC 1542 §2.1)
inline constexpr size_t kMaxParsedSize = 2048;    ///< a longer request is refused
inline constexpr size_t kDefaultReplySize = 548;  ///< 576 less IP and UDP: what every client takes (RFC 2131 §2)
inline constexpr size_t kMaxReplySize = 1472;     ///< one Ethernet frame

inline constexpr uint8_t kBootRequest = 1;
inline constexpr uint8_t kBootReply = 2;
inline constexpr uint8_t kHtypeEthernet = 1;
inline constexpr uint16_t kFlagBroadcast = 0x8000;

/// RFC 2132 §9.6.
enum class MessageType : uint8_t {
  bootp = 0,  ///< no option 53: plain BOOTP
  discover = 1,
  offer = 2,
  request = 3,
  decline = 4,
  ack = 5,
  nak = 6,
  release = 7,
  inform = 8,
};

/// Option codes (RFC 2132 and where noted).
namespace option {
inline constexpr uint8_t kPad = 0;
inline constexpr uint8_t kSubnetMask = 1;
inline constexpr uint8_t kRouter = 3;
inline constexpr uint8_t kDns = 6;
inline constexpr uint8_t kHostName = 12;
inline constexpr uint8_t kDomainName = 15;
inline constexpr uint8_t kMtu = 26;
inline constexpr uint8_t kBroadcast = 28;
inline constexpr uint8_t kRequestedAddress = 50;
inline constexpr uint8_t kLeaseTime = 51;
inline constexpr uint8_t kOverload = 52;
inline constexpr uint8_t kMessageType = 53;
inline constexpr uint8_t kServerId = 54;
inline constexpr uint8_t kParameterList = 55;
inline constexpr uint8_t kMessage = 56;
inline constexpr uint8_t kMaxSize = 57;
inline constexpr uint8_t kRenewalTime = 58;
inline constexpr uint8_t kRebindingTime = 59;
inline constexpr uint8_t kClientId = 61;
inline constexpr uint8_t kFqdn = 81;              // RFC 4702
inline constexpr uint8_t kRelayAgent = 82;        // RFC 3046
inline constexpr uint8_t kSubnetSelection = 118;  // RFC 3011
inline constexpr uint8_t kEnd = 255;
inline constexpr uint8_t kRelayLinkSelection = 5;  // sub-option of 82, RFC 3527
}  // namespace option

struct MessageHeader {
  uint8_t op = 0;
  uint8_t htype = 0;
  uint8_t hlen = 0;
  uint8_t hops = 0;
  wire::be32 xid;
  wire::be16 secs;
  wire::be16 flags;
  wire::Ipv4Address ciaddr;
  wire::Ipv4Address yiaddr;
  wire::Ipv4Address siaddr;
  wire::Ipv4Address giaddr;
  wire::MacAddress chaddr;
  std::array<uint8_t, 10> chaddr_padding{};
  std::array<uint8_t, 64> sname{};
  std::array<uint8_t, 128> file{};
  wire::be32 cookie;
};
static_assert(sizeof(MessageHeader) == kFixedSize && alignof(MessageHeader) == 1);

inline constexpr uint32_t kMagicCookie = 0x63825363;

/// Why bytes are no message the server reads.
enum class ParseError : uint8_t {
  too_short,        ///< fewer bytes than the fixed part
  too_long,         ///< more than kMaxParsedSize
  not_a_request,    ///< op is not BOOTREQUEST
  bad_hardware,     ///< htype and hlen are not Ethernet's, or chaddr is no unicast MAC
  bad_cookie,       ///< the options are not DHCP's (RFC 2132 §2)
  bad_options,      ///< an option reaches past the end of its field
  bad_option_size,  ///< an option the server reads has a length its type cannot have
};
/// A few words for a log line.
[[nodiscard]] std::string_view to_string(ParseError e) noexcept;

/// A parsed request: a view of the caller's bytes, which must outlive it.
///
/// An option that occurs several times is one option whose value is the concatenation of its parts (RFC 3396 §5), taken
/// from the options field, then `file`, then `sname` when option 52 says that these hold options (RFC 2131 §4.1). A
/// missing End is forgiven (old BOOTP clients), an option that is cut short is not.
class Message {
 public:
  /// `payload`: the UDP payload. Checks the fixed part, the walk through the options, and the lengths of those options
  /// that the typed getters below read.
  [[nodiscard]] static tl::expected<Message, ParseError> parse(std::span<const uint8_t> payload) noexcept;

  [[nodiscard]] const MessageHeader& header() const noexcept { return *header_; }
  [[nodiscard]] bool wants_broadcast() const noexcept { return (header_->flags.host() & kFlagBroadcast) != 0; }
  /// `bootp` when option 53 is absent. May be a number that has no name.
  [[nodiscard]] MessageType type() const noexcept;

  [[nodiscard]] bool has(uint8_t code) const noexcept { return slices_[code].present; }
  /// The option's whole value; empty when it is absent or has no bytes.
  [[nodiscard]] std::span<const uint8_t> option(uint8_t code) const noexcept;
  /// Options 50, 54, 118: the address, or nullopt when absent.
  [[nodiscard]] std::optional<wire::Ipv4Address> address_option(uint8_t code) const noexcept;
  /// Option 51 in seconds.
  [[nodiscard]] std::optional<uint32_t> lease_time() const noexcept;
  /// Option 57 in bytes of IP datagram.
  [[nodiscard]] std::optional<uint16_t> max_size() const noexcept;
  /// Does the client want `code`? Without a parameter request list it wants everything.
  [[nodiscard]] bool requests(uint8_t code) const noexcept;

 private:
  struct Slice {
    uint16_t offset = 0;  // into payload_, or into joined_ when `joined`
    uint16_t size = 0;
    bool present = false;
    bool joined = false;
  };

  Message() noexcept = default;
  [[nodiscard]] std::optional<ParseError> read(std::span<const uint8_t> payload) noexcept;
  template <class Visit>
  [[nodiscard]] bool walk(size_t first, size_t last, Visit&& visit) const noexcept;
  [[nodiscard]] bool read_options() noexcept;
  [[nodiscard]] bool sizes_fit() const noexcept;

  const MessageHeader* header_ = nullptr;
  std::span<const uint8_t> payload_;
  std::array<Slice, 256> slices_{};
  // Values of repeated options; only what slices_ names is written.
  std::array<uint8_t, kMaxParsedSize> joined_;
};

/// Writes a reply: header first, then options in the order they are added; an option that no longer fits is left out
/// whole and reported by `false`.
class MessageBuilder {
 public:
  /// `max_size`: bytes of UDP payload, kMinMessageSize … kMaxReplySize (clamped).
  explicit MessageBuilder(size_t max_size) noexcept;

  [[nodiscard]] MessageHeader& header() noexcept { return *reinterpret_cast<MessageHeader*>(bytes_.data()); }

  /// Keeps `bytes` (heads included, see option_size) for options that are added last; reserve(0) gives them free.
  void reserve(size_t bytes) noexcept { reserved_ = bytes; }

  /// A value longer than 255 bytes is split as RFC 3396 §5 says. An empty value is written with length 0.
  bool add(uint8_t code, std::span<const uint8_t> value) noexcept;
  bool add(uint8_t code, std::string_view value) noexcept;
  bool add(uint8_t code, wire::Ipv4Address value) noexcept;
  bool add_u8(uint8_t code, uint8_t value) noexcept;
  bool add_u16(uint8_t code, uint16_t value) noexcept;
  bool add_u32(uint8_t code, uint32_t value) noexcept;

  /// Adds End and pads to kMinMessageSize. The span lives as long as the builder. Call once.
  [[nodiscard]] std::span<const uint8_t> finish() noexcept;

 private:
  std::array<uint8_t, kMaxReplySize> bytes_{};
  size_t size_ = kFixedSize;
  size_t limit_;  // where options must end; room for End is taken off
  size_t reserved_ = 0;
};

/// Bytes that an option of `value_size` takes, heads included.
[[nodiscard]] constexpr size_t option_size(size_t value_size) noexcept {
  const size_t parts = value_size == 0 ? 1 : (value_size + 254) / 255;
  return value_size + 2 * parts;
}

}  // namespace weft::dhcp
