// SPDX-License-Identifier: BSD-3-Clause
//
// Messages over a non-blocking unix stream socket: pieces of a header, of a payload and the descriptors that
// came along are gathered until one message is whole. A peer that sends half of one costs nothing but that
// half. Control thread.
#pragma once

#include "dataplane/vhost/fd.h"
#include "dataplane/vhost/protocol.h"

#include <array>
#include <cstdint>
#include <span>
#include <vector>

namespace weft::dataplane::vhost {

class Channel {
 public:
  enum class Status {
    message,     // message() and take_fds() are those of a whole message
    incomplete,  // nothing more to read now
    closed,      // the peer hung up
    failed,      // oversized payload, more descriptors than a message may carry, or a socket error
  };
  explicit Channel(UniqueFd socket) noexcept;

  /// Reads until one message is whole; the previous one is forgotten, its descriptors are closed.
  Status receive();
  [[nodiscard]] const MessageHeader& header() const noexcept { return header_; }
  [[nodiscard]] std::span<const uint8_t> payload() const noexcept { return {payload_.data(), header_.size}; }
  [[nodiscard]] std::vector<UniqueFd>& fds() noexcept { return fds_; }

  /// Sends the answer to the current message. False: the peer does not read its answers, or is gone.
  bool reply(std::span<const uint8_t> payload);

  [[nodiscard]] int socket() const noexcept { return socket_.get(); }

 private:
  Status read_some(uint8_t* into, size_t size, size_t& got);

  UniqueFd socket_;
  MessageHeader header_{};
  size_t got_header_ = 0, got_payload_ = 0;
  std::array<uint8_t, kMaxPayload> payload_{};
  std::vector<UniqueFd> fds_;
  bool is_whole_ = false;
};

}  // namespace weft::dataplane::vhost
