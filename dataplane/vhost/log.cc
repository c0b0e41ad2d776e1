// SPDX-License-Identifier: BSD-3-Clause
#include "dataplane/vhost/log.h"

#include <spdlog/spdlog.h>

namespace weft::dataplane::vhost {

bool PortLog::admit() {
  const auto now = std::chrono::steady_clock::now();
  if (now - interval_start_ >= kInterval) {
    if (suppressed_ != 0) spdlog::info("port {}: {} more lines like these", name_, suppressed_);
    interval_start_ = now;
    lines_ = 0;
    suppressed_ = 0;
  }
  if (lines_++ < kLinesPerInterval) return true;
  ++suppressed_;
  ++suppressed_total_;
  return false;
}

void PortLog::info(std::string_view text) {
  if (admit()) spdlog::info("port {}: {}", name_, text);
}

void PortLog::warn(std::string_view text) {
  if (admit()) spdlog::warn("port {}: {}", name_, text);
}

}  // namespace weft::dataplane::vhost
