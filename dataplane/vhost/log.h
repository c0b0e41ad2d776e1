// SPDX-License-Identifier: BSD-3-Clause
//
// What a port has to say about its peer, at a rate a hostile peer cannot choose. Control thread.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>
#include <string_view>

namespace weft::dataplane::vhost {

class PortLog {
 public:
  static constexpr unsigned kLinesPerInterval = 10;
  static constexpr std::chrono::seconds kInterval{10};

  explicit PortLog(std::string name) : name_(std::move(name)) {}
  void info(std::string_view text);
  void warn(std::string_view text);
  [[nodiscard]] const std::string& name() const noexcept { return name_; }
  /// Lines left out so far for being too many.
  [[nodiscard]] uint64_t suppressed() const noexcept { return suppressed_total_; }

 private:
  bool admit();
  std::string name_;
  std::chrono::steady_clock::time_point interval_start_{};
  unsigned lines_ = 0;
  uint64_t suppressed_ = 0, suppressed_total_ = 0;
};

}  // namespace weft::dataplane::vhost
