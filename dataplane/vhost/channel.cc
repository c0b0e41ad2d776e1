// SPDX-License-Identifier: BSD-3-Clause
#include "dataplane/vhost/channel.h"

#include <cerrno>
#include <cstring>

#include <sys/socket.h>
#include <sys/uio.h>

namespace weft::dataplane::vhost {
namespace {

/// Room for more descriptors than any message may carry, so that the surplus is seen and closed, not cut off.
constexpr size_t kMaxFdsRead = 32;
constexpr size_t kMaxFdsPerMessage = kMaxTableRegions;

}  // namespace

Channel::Channel(UniqueFd socket) noexcept : socket_(std::move(socket)) { set_nonblocking(socket_.get()); }

Channel::Status Channel::read_some(uint8_t* into, size_t size, size_t& got) {
  alignas(cmsghdr) char control[CMSG_SPACE(kMaxFdsRead * sizeof(int))];
  iovec part{into + got, size - got};
  msghdr message{};
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  message.msg_control = control;
  message.msg_controllen = sizeof control;
  ssize_t n;
  do n = recvmsg(socket_.get(), &message, MSG_CMSG_CLOEXEC | MSG_DONTWAIT);
  while (n < 0 && errno == EINTR);
  if (n < 0) {
    if (errno == EAGAIN || errno == EWOULDBLOCK) return Status::incomplete;
    return errno == ECONNRESET ? Status::closed : Status::failed;
  }
  for (cmsghdr* c = CMSG_FIRSTHDR(&message); c != nullptr; c = CMSG_NXTHDR(&message, c)) {
    if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS) continue;
    const size_t count = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
    for (size_t i = 0; i < count; ++i) {
      int fd;
      std::memcpy(&fd, CMSG_DATA(c) + i * sizeof fd, sizeof fd);
      fds_.emplace_back(fd);
    }
  }
  if ((message.msg_flags & MSG_CTRUNC) != 0 || fds_.size() > kMaxFdsPerMessage) return Status::failed;
  if (n == 0) return Status::closed;
  got += static_cast<size_t>(n);
  return Status::message;
}

Channel::Status Channel::receive() {
  if (is_whole_) {
    is_whole_ = false;
    got_header_ = got_payload_ = 0;
    fds_.clear();
  }
  while (got_header_ < sizeof header_) {
    const Status s = read_some(reinterpret_cast<uint8_t*>(&header_), sizeof header_, got_header_);
    if (s != Status::message) return s;
  }
  if (header_.size > kMaxPayload) return Status::failed;
  while (got_payload_ < header_.size) {
    const Status s = read_some(payload_.data(), header_.size, got_payload_);
    if (s != Status::message) return s;
  }
  is_whole_ = true;
  return Status::message;
}

bool Channel::reply(std::span<const uint8_t> payload) {
  std::array<uint8_t, sizeof(MessageHeader) + 64> bytes;
  const MessageHeader header{header_.request, MessageHeader::kVersion | MessageHeader::kReply,
                             static_cast<uint32_t>(payload.size())};
  std::memcpy(bytes.data(), &header, sizeof header);
  std::memcpy(bytes.data() + sizeof header, payload.data(), payload.size());
  const size_t size = sizeof header + payload.size();
  ssize_t n;
  do n = send(socket_.get(), bytes.data(), size, MSG_NOSIGNAL | MSG_DONTWAIT);
  while (n < 0 && errno == EINTR);
  // A front end waits for each answer before it sends on; one whose socket is full of them does not mean
  // well.
  return n == static_cast<ssize_t>(size);
}

}  // namespace weft::dataplane::vhost
