// SPDX-License-Identifier: BSD-3-Clause
//
// What a Resolver asks when it does not know: the seam between the pure half of this folder and the sockets
// of forwarder.h. Control thread.
#pragma once

#include "dns/message.h"

#include <cstdint>
#include <functional>
#include <span>

namespace weft::dns {

/// Everything that makes two questions the same question upstream.
struct UpstreamQuestion {
  Question question;
  bool dnssec_ok = false;          // DO
  bool checking_disabled = false;  // CD
};

enum class UpstreamStatus : uint8_t {
  kAnswered,    // `message` is a canonical answer (reply.h), of any rcode
  kTimedOut,    // nobody answered within the total time
  kNoServer,    // nobody to ask
  kOverloaded,  // a limit of queries in flight is reached
};

struct UpstreamResult {
  UpstreamStatus status = UpstreamStatus::kNoServer;
  std::span<const uint8_t> message;  // valid during the call
};

class Upstream {
 public:
  using Completion = std::function<void(const UpstreamResult&)>;
  virtual ~Upstream() = default;
  /// Calls `done` once, possibly before it returns; not at all when the Upstream is destroyed first.
  virtual void query(const UpstreamQuestion& question, Completion done) = 0;
};

}  // namespace weft::dns
