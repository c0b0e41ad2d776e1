// SPDX-License-Identifier: BSD-3-Clause
//
// The rate limits of each port, kept by each worker for the ports it serves. Worker only.
#pragma once

#include "dataplane/packet.h"
#include "switch/guest_limits.h"
#include "switch/rate_limit.h"

#include <memory>

namespace weft::vswitch {

class PortLimits {
 public:
  struct Buckets {
    TokenBucket storm{limits::kStormRate, limits::kStormBurst};
    TokenBucket local{limits::kLocalRate, limits::kLocalBurst};
    TokenBucket punt{limits::kPuntRate, limits::kPuntBurst};
    TokenBucket news{limits::kNewsRate, limits::kNewsBurst};
  };
  PortLimits() : buckets_(std::make_unique<Buckets[]>(dataplane::kMaxPorts)) {}
  /// `port` < kMaxPorts.
  Buckets& operator[](dataplane::PortId port) noexcept { return buckets_[port]; }

 private:
  std::unique_ptr<Buckets[]> buckets_;
};

}  // namespace weft::vswitch
