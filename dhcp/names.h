// SPDX-License-Identifier: BSD-3-Clause
//
// Names that clients give themselves: what of them is kept, what of them may be published, and the client FQDN option
// (RFC 4702). Pure functions over guest input; any thread.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>

namespace weft::dhcp {

/// What is kept of a name a client sent: up to the first NUL, other than printable ASCII replaced by '?', so that it
/// can be shown on a terminal and in JSON. At most 255 bytes.
[[nodiscard]] std::string printable_name(std::span<const uint8_t> bytes);

/// The host label of a name: what stands before the first dot, when it is 1 … 63 of A-Z a-z 0-9 - _ and begins with
/// neither - nor _; else empty.
[[nodiscard]] std::string_view host_label(std::string_view name) noexcept;

/// For comparing names (RFC 4343).
[[nodiscard]] std::string lower_case(std::string_view name);

/// Option 81 as a client sends it.
struct ClientFqdn {
  uint8_t flags = 0;  ///< N 8, E 4, O 2, S 1
  std::string name;   ///< dotted, without a final dot; printable as above; may be empty
};
inline constexpr uint8_t kFqdnEncoded = 4;  ///< E: the name is in DNS wire form, else ASCII

/// nullopt when it is shorter than its fixed part or its labels do not add up.
[[nodiscard]] std::optional<ClientFqdn> parse_fqdn(std::span<const uint8_t> option);

/// The server's option 81 (RFC 4702 §2.2): the client's flags, both return codes 255, and `name` in the client's own
/// form. A label longer than 63 cannot come here: names are host_label() and a configured domain; empty if it does.
[[nodiscard]] std::string make_fqdn(uint8_t flags, std::string_view name);

}  // namespace weft::dhcp
